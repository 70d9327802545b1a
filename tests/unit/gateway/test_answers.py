"""v4's answers: pieces have the shape of the whole, to the letter."""

import json

from hypothesis import given
from hypothesis import strategies as st

from modelyard.domain.inference import AssistantMessage, ChatResult, Chunk, CompletionResult, TokenLogprob, TopLogprob
from modelyard.http.inference.answers import ChunkWriter, answer, native_events

TOKEN = TokenLogprob("a", -0.5, [TopLogprob("b", -1.5, [98])], [97])
words = st.text(alphabet=st.characters(codec="utf-8"))
chunks = st.builds(
    Chunk,
    words,
    st.none() | st.just([TOKEN]),
    st.none() | st.sampled_from(["stop", "length"]),
    st.none() | st.integers(0, 10**6),
    st.none() | st.integers(0, 10**6),
)


def events(data: bytes) -> list[dict[str, object]]:
    blocks = data.decode().split("\n\n")
    assert blocks.pop() == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


@given(words, chunks)
def test_every_piece_has_the_shape_of_the_whole(prompt: str, chunk: Chunk) -> None:
    whole = json.loads(
        answer(
            prompt,
            ChatResult(
                AssistantMessage(chunk.text),
                chunk.finish_reason,
                chunk.prompt_tokens,
                chunk.response_tokens,
                chunk.logprobs,
            ),
        )
    )
    written = events(ChunkWriter(prompt)([chunk]))
    if chunk.finish_reason is None:
        # Counts come with the last piece alone.
        whole |= {"prompt_tokens": None, "response_tokens": None} if chunk.logprobs is None else {}
    if not chunk.text and chunk.finish_reason is None and chunk.logprobs is None:
        assert written == []
    else:
        assert written == [whole]


def test_pieces_of_one_read_are_one_write() -> None:
    data = ChunkWriter("p")([Chunk("a"), Chunk("b"), Chunk("", None, "stop", 1, 2)])
    assert [event["completions"] for event in events(data)] == [[["p", ["a"]]], [["p", ["b"]]], [["p", [""]]]]


def test_thoughts_are_nothing_a_v4_client_sees() -> None:
    assert ChunkWriter("p")([Chunk(reasoning="hm")]) == b""
    assert events(native_events([Chunk(reasoning="hm")])) == [{"reasoning": "hm"}]


def test_several_texts_are_several_choices() -> None:
    whole = json.loads(answer("p", CompletionResult([("p", ["a", "b"])], "stop", 1, 2)))
    assert whole["completions"] == [["p", ["a", "b"]]]
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
