// The charts of the figures: uPlot on what the server counted.
"use strict";

(() => {
  const units = {
    ms: (value) => `${Math.round(value).toLocaleString()} ms`,
    "%": (value) => `${Math.round(value)} %`,
    usd: (value) => value.toLocaleString(undefined, { style: "currency", currency: "USD" }),
  };
  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });

  function stacked(series) {
    const sums = [];
    let below = series[0].values.map((value) => (value === null ? null : 0));
    for (const one of series) {
      below = below.map((sum, at) => (sum === null ? null : sum + (one.values[at] ?? 0)));
      sums.push(below);
    }
    return sums;
  }

  function draw(place) {
    const { kind, unit, x, series } = JSON.parse(place.dataset.chart);
    const days = x.length > 0 && x[0] > 1000;
    const name = (value) => (days ? day.format(value * 1000) : `${value}:00`);
    const write = units[unit];
    const values = kind === "stack" ? stacked(series) : series.map((one) => one.values);
    const order = kind === "stack" ? series.map((_, at) => series.length - 1 - at) : series.map((_, at) => at);
    const bars = kind === "bars" ? { paths: uPlot.paths.bars({ size: [0.7, 40] }), points: { show: false } } : {};
    const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    place.replaceChildren();
    const plot = new uPlot({
      width: place.clientWidth,
      height: 240,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { time: days, range: (_, low, high) => [low - (days ? 43200 : 0.5), high + (days ? 43200 : 0.5)] }, y: { range: (_, low, high) => [0, (high || 1) * 1.08] } },
      legend: { show: kind !== "stack" },
      cursor: { drag: { x: false, y: false }, points: { show: kind === "lines" } },
      axes: [
        { ...axis, grid: { show: false }, values: (_, marks) => marks.map((mark) => (days || Number.isInteger(mark) ? name(mark) : "")), space: 70, size: 32, incrs: days ? [1, 2, 7, 14, 28].map((n) => n * 86400) : [1, 2, 3, 6] },
        { ...axis, size: 70, values: (_, marks) => marks.map(write) },
      ],
      series: [
        { label: days ? "day" : "hour", value: (_, value) => (value === null ? "" : name(value)) },
        ...order.map((at) => ({
          label: series[at].label,
          stroke: color(series[at].color),
          fill: kind === "lines" ? undefined : color(series[at].color),
          width: kind === "lines" ? 2 : 0,
          points: { show: kind === "lines" && x.length < 40, size: 5 },
          value: (_, value) => (value === null ? "–" : write(value)),
          ...bars,
        })),
      ],
    }, [x, ...order.map((at) => values[at])], place);
    return plot;
  }

  function drawAll() {
    for (const place of document.querySelectorAll(".chart")) draw(place);
    document.getElementById("figures").dataset.ready = "";
  }

  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:afterSwap", drawAll);
  drawAll();
})();
