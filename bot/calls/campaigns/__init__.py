"""Many calls under one policy: uploaded at once, dialled in order, paused, resumed, canceled.

csv_contacts.py and json_contacts.py read an upload row by row, csv_form.py finds how a file was written ·
rules.py decides about rows, hours and the circuit breaker, pure · loader.py keeps the rows · rounds.py dials
them round by round · results.py writes their results as CSV.
What is kept of a campaign is bot/store/campaign_records.py.
"""

from bot.calls.campaigns.csv_contacts import CsvContacts
from bot.calls.campaigns.json_contacts import JsonContacts
from bot.calls.campaigns.loader import Loaded, NoContactError, in_slices
from bot.calls.campaigns.rounds import Campaigns

__all__ = ["Campaigns", "CsvContacts", "JsonContacts", "Loaded", "NoContactError", "in_slices"]
