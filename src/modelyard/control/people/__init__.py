"""Who calls and what they may: accounts, members, keys, sign-in."""
