"""The phone line: the media stream of a call, its playout, its recording."""
