"""The other processes of the same database: what is told and asked between them, sockets passed on."""
