"""One call on the line, from answer to hang-up. call.py puts its parts together; call_flow.py is its clock."""
