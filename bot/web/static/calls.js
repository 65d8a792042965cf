// The list of calls: its first page follows what happens.
"use strict";

live.follow(
  "/api/phone/events?only=status_changed&only=outcome_written",
  ["status_changed", "outcome_written"],
  live.atMostEvery(1500, () => {
    const rows = document.getElementById("rows");
    if (rows?.hasAttribute("hx-get")) htmx.trigger(rows, "refresh");
  }),
);
