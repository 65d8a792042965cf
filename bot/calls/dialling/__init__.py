"""When and how a call is dialled: the rules, pure, and the durable life of a call around them."""
