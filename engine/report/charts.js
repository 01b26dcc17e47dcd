// Figures with uPlot. A specification is {x, y, lines, marks, bands, ramp}:
//   x: "tokens" or "layer"; y: {label, log}
//   lines: [{label, x, y, colour, dash, width, points, twin, hidden}]; twin: index of the line whose legend entry switches
//     this line too; hidden: no legend entry
//   marks: [{x, kind, colour}]; bands: [[index of the upper line, index of the lower line, colour]]
//   ramp: [text of the first line, text of the last line], instead of a legend. Used with lines by tokens only.

const MARK_SIGNS = {
  loss_spike: "▲", gradient_spike: "△", bad_numbers: "✖", different_weights: "≠", hardware: "⚠", roll_back: "↶",
  straggler: "◷", skipped: "○", resumed: "▷",
};

function markSign(kind) {
  return MARK_SIGNS[kind] || "•";
}

function drawMarks(plot, marks) {
  const {ctx, bbox} = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = `${11 * scale}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "top";
  ctx.lineWidth = scale;
  ctx.setLineDash([]);
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark.x, "x", true));
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
    ctx.strokeStyle = withAlpha(mark.colour, 0.35);
    ctx.fillStyle = mark.colour;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + 13 * scale);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(markSign(mark.kind), x, bbox.top);
  }
  ctx.restore();
}

function axisOptions(label, format, more = {}) {
  return {
    label, labelSize: 22, labelFont: "12px system-ui, sans-serif", font: "12px system-ui, sans-serif",
    stroke: cssValue("--soft"), grid: {stroke: cssValue("--line"), width: 1}, ticks: {stroke: cssValue("--line"), width: 1},
    values: (_, splits) => splits.map((value) => (value === null ? "" : format(value))), ...more,
  };
}

function axesOf(spec) {
  const x = spec.x === "tokens"
    ? axisOptions("tokens", withPrefix, {space: 50, size: 34})
    : axisOptions("layer (attention at n, MLP at n + ½)", tick, {incrs: [1, 2, 5, 10, 20, 50, 100, 200], size: 34});
  const size = (_, values) => 20 + 7 * Math.max(3, ...(values || []).map((value) => String(value).length));
  return [x, axisOptions(spec.y.label, tick, {size})];
}

function seriesOf(line) {
  return {
    label: line.label, stroke: line.colour, dash: line.dash || [], width: line.width === undefined ? 1.5 : line.width,
    class: line.twin !== undefined || line.hidden ? "twin" : undefined,
    points: {show: Boolean(line.points) || line.x.length < 3, size: 5, fill: line.colour},
    value: (_, value) => number(value),
  };
}

// One x for all lines, as uPlot expects: undefined where a line has no point, so that it is drawn through, and null where a
// value is missing, so that it is drawn as a gap. A logarithmic axis has no place for values up to 0.
function joined(spec) {
  const drawable = (value) => (value === undefined || (spec.y.log && value !== null && value <= 0) ? null : value);
  return uPlot.join(spec.lines.map((line) => [line.x, line.y.map(drawable)]));
}

function hasValues(spec) {
  return spec.lines.some((line) => line.y.some((value) => value !== null && (!spec.y.log || value > 0)));
}

// Shows the values at the cursor of the line that is nearest to it.
function readoutHooks(spec, readout) {
  let focused = null;
  const show = (plot) => {
    const index = focused === null ? null : plot.cursor.idxs[focused];
    const value = index === null || index === undefined ? null : plot.data[focused][index];
    const missing = value === null || value === undefined;
    readout.textContent = missing ? "" :
      `${spec.lines[focused - 1].label}: ${number(value)} at ${withPrefix(plot.data[0][index])} tokens`;
  };
  return {
    setSeries: [(plot, index, options) => {
      if (options.focus === undefined) return;
      focused = options.focus && index > 0 ? index : null;
      show(plot);
    }],
    setCursor: [show],
  };
}

function twinHook(spec) {
  return (plot, index, options) => {
    if (options.show === undefined || index === null) return;
    spec.lines.forEach((line, i) => {
      if (line.twin === index - 1 && plot.series[i + 1].show !== options.show) plot.setSeries(i + 1, {show: options.show});
    });
  };
}

function plotOptions(spec, size, readout) {
  const hooks = spec.ramp ? readoutHooks(spec, readout) : {setSeries: [twinHook(spec)]};
  hooks.draw = [(plot) => drawMarks(plot, spec.marks || [])];
  return {
    ...size, hooks,
    scales: {x: {time: false}, y: {distr: spec.y.log ? 3 : 1}},
    axes: axesOf(spec),
    legend: {show: !spec.ramp},
    focus: {alpha: spec.ramp ? 0.2 : 1},
    cursor: {
      focus: {prox: spec.ramp ? 24 : -1},
      sync: spec.x === "tokens" ? {key: "tokens", setSeries: false, scales: ["x", null]} : undefined,
      points: {size: 6},
    },
    bands: (spec.bands || []).map(([high, low, fill]) => ({series: [high + 1, low + 1], fill})),
    series: [
      {label: spec.x, value: (_, value) => (value === null ? "–" : spec.x === "tokens" ? withPrefix(value) : tick(value))},
      ...spec.lines.map(seriesOf),
    ],
  };
}

// Draws `spec()` into a figure when the figure comes near to the window, and again when draw() of the result is called.
function makeFigure(parent, title, note, spec) {
  const plotBox = element("div", {className: "plot"});
  const extra = element("div");
  const figure = element("figure", {}, element("figcaption", {}, element("h3", {textContent: title}),
    note ? element("p", {className: "note", textContent: note}) : null), plotBox, extra);
  parent.append(figure);
  let plot = null, started = false;
  const size = () => ({width: Math.max(200, plotBox.clientWidth), height: innerWidth <= 600 ? 240 : 300});
  const draw = () => {
    if (!started) return;
    if (plot) plot.destroy();
    plot = null;
    plotBox.replaceChildren();
    extra.replaceChildren();
    const now = spec();
    if (!now || !hasValues(now)) {
      plotBox.append(element("p", {className: "note", textContent: "The chosen runs have no values for this figure."}));
      return;
    }
    const readout = element("div", {className: "readout"});
    plot = new uPlot(plotOptions(now, size(), readout), joined(now), plotBox);
    if (now.ramp) extra.append(rampKey(now.ramp), readout);
  };
  const start = () => {
    if (started) return;
    started = true;
    draw();
  };
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    start();
  }, {rootMargin: "800px"}).observe(figure);
  new ResizeObserver(() => { if (plot && plot.width !== size().width) plot.setSize(size()); }).observe(plotBox);
  addEventListener("beforeprint", start);
  return {draw};
}

function rampKey([first, last]) {
  const stops = Array.from({length: 9}, (_, i) => rampColour(i / 8)).join(", ");
  const strip = element("i");
  strip.style.background = `linear-gradient(to right, ${stops})`;
  return element("div", {className: "ramp"}, first, strip, last);
}
