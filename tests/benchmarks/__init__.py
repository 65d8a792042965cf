"""How fast a call answers and how many one core carries: measured at the far end, over real sockets.

latency.py      python -m tests.benchmarks.latency: where a turn's time goes, for N calls at once
density.py      python -m tests.benchmarks.density: clean calls per core, beside stock pipecat · plot.py as an SVG
profile.py      python -m tests.benchmarks.profile: where a call's CPU goes, by stage
campaign.py     python -m tests.benchmarks.campaign: 100,000 contacts in one upload: time, memory, loop lag
pages.py        python -m tests.benchmarks.pages: each page at the server, with 10,000 calls in the store
blocking.py     python -m tests.benchmarks.blocking: what holds the event loop while calls start, memory per call
conversation.py python -m tests.benchmarks.conversation: does the agent behave, by situations, beside stock
situations/     the situations, as data: acts.py is what the callee's end can do, rules.py what can be asked for
lane.py         a server, its vendors and one call at a time · phone.py the callee's telephone
sounds.py       speech and noises · recogniser.py what Deepgram hears · garbage.py what no one should send
voiceprint.py   the agent's voice, found again in what was heard · evidence.py all that is known of a call
callee.py       who holds the phone: talks, listens, interrupts, keeps the times
line.py         carries callees to a server: through the simulated Twilio, or straight to a media socket
servers.py      the processes: vendors, ours, stock, each pinned where it belongs
vendors.py      the vendors' process · ours.py, stock.py the servers under test · probe.py their event loop
figures.py      gaps, replies, percentiles, tables: pure
"""
