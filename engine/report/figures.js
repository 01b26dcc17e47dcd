// The figures of the report. `state` is {data, hidden (a set of run indices), chosen (index of the run of figures that show
// one run)}. Each function returns a specification for charts.js, or null.

function shownRuns(state) {
  return state.data.runs.map((run, index) => ({run, index})).filter(({index}) => !state.hidden.has(index));
}

function marksOf(state) {
  return shownRuns(state).flatMap(({run, index}) =>
    run.marks.map((mark) => ({x: mark.x, kind: mark.kind, colour: runColour(index)})));
}

function runLine({run, index}, values, more = {}) {
  return {label: run.label, x: values.x, y: values.y, colour: runColour(index), dash: runDash(index), ...more};
}

// A line per run for one quantity of `series`; `convert` changes each value.
function seriesFigure(state, name, y, convert = (value) => value) {
  const lines = shownRuns(state).filter(({run}) => run.series[name]).map((shown) => {
    const {x, y: values} = shown.run.series[name];
    return runLine(shown, {x, y: values.map((value) => (value === null ? null : convert(value)))}, {width: 1});
  });
  return {x: "tokens", y, lines, marks: marksOf(state)};
}

// The mean as a line, and behind it each recorded step as a pale line.
function trainingFigure(state, y, convert) {
  const lines = [];
  for (const shown of shownRuns(state)) {
    const converted = ({x, y: values}) => ({x, y: values.map((value) => (value === null ? null : convert(value)))});
    const steps = converted(shown.run.series.loss);
    if (!shown.run.series.loss_mean) {
      lines.push(runLine(shown, steps));
      continue;
    }
    const colour = withAlpha(runColour(shown.index), 0.3);
    lines.push(runLine(shown, converted(shown.run.series.loss_mean), {width: 2}));
    lines.push(runLine(shown, steps, {colour, width: 1, dash: [], twin: lines.length - 1}));
  }
  // Pale lines first, so that no mean is hidden behind them.
  const order = lines.map((_, i) => i).sort((a, b) => (lines[a].twin === undefined) - (lines[b].twin === undefined));
  const sorted = order.map((i) => ({...lines[i], twin: lines[i].twin === undefined ? undefined : order.indexOf(lines[i].twin)}));
  return {x: "tokens", y, lines: sorted, marks: marksOf(state)};
}

function validationFigure(state, y, convert) {
  const lines = shownRuns(state).filter(({run}) => run.validation.x.length > 0).map((shown) => runLine(shown,
    {x: shown.run.validation.x, y: shown.run.validation.y.map((value) => (value === null ? null : convert(value)))},
    {points: shown.run.validation.x.length <= 100}));
  return {x: "tokens", y, lines, marks: marksOf(state)};
}

function memoryFigure(state) {
  const lines = [];
  for (const shown of shownRuns(state)) {
    const kinds = [["resident_bytes", "resident", runDash(shown.index)], ["arena_bytes", "planned", [2, 4]]];
    for (const [name, words, dash] of kinds) {
      const values = shown.run.series[name];
      if (!values) continue;
      const gib = values.y.map((value) => (value === null ? null : value / 2 ** 30));
      lines.push(runLine(shown, {x: values.x, y: gib}, {label: `${shown.run.label}, ${words}`, dash}));
    }
  }
  return {x: "tokens", y: {label: "memory of rank 0 (GiB)"}, lines, marks: marksOf(state)};
}

const PHASES = [["data", "#56B4E9"], ["compute", "#0072B2"], ["communication", "#D55E00"], ["optimizer", "#009E73"],
  ["evaluation", "#E69F00"], ["checkpoint", "#CC79A7"]];

function phaseFigure(state) {
  const run = state.data.runs[state.chosen];
  const lines = PHASES.filter(([phase]) => run.series["seconds_" + phase]).map(([phase, colour]) => (
    {label: phase, colour, width: 1, ...run.series["seconds_" + phase]}));
  const marks = run.marks.map((mark) => ({x: mark.x, kind: mark.kind, colour: runColour(state.chosen)}));
  return {x: "tokens", y: {label: "seconds per step on rank 0"}, lines, marks};
}

function depth(site) {
  return site.layer + (site.site === "mlp" ? 0.5 : 0);
}

function siteName(site) {
  return site.site === "layer" ? `layer ${site.layer}` : `layer ${site.layer}, ${site.site === "mlp" ? "MLP" : "attention"}`;
}

function sortedSites(table) {
  return [...table.sites].sort((a, b) => depth(a) - depth(b));
}

// The readings of one record by depth.
function profile(table, record) {
  const sites = sortedSites(table);
  return {x: sites.map(depth), y: sites.map((site) => site.y[record])};
}

// The last record of each run; of a single run, four records in the order of time.
function depthFigure(state, name, y) {
  const shown = shownRuns(state).filter(({run}) => run[name].x.length > 0);
  if (state.data.runs.length > 1)
    return {x: "layer", y, lines: shown.map((one) => {
      const table = one.run[name];
      return runLine(one, profile(table, table.x.length - 1), {points: true});
    })};
  if (shown.length === 0) return null;
  const table = shown[0].run[name];
  const last = table.x.length - 1;
  const records = [...new Set([0, Math.round(last / 3), Math.round(2 * last / 3), last])];
  const lines = records.map((record, i) => ({
    label: `at ${withPrefix(table.x[record], 3)} tokens`, points: true,
    colour: rampColour(records.length === 1 ? 1 : i / (records.length - 1)), ...profile(table, record)}));
  return {x: "layer", y, lines};
}

// Each site of the chosen run over training.
function sitesFigure(state, name, y) {
  const run = state.data.runs[state.chosen];
  const table = run[name];
  const sites = sortedSites(table);
  if (sites.length === 0) return null;
  const lines = sites.map((site, i) => ({
    label: siteName(site), x: table.x, y: site.y, width: 1.25, dash: site.site === "mlp" ? [5, 3] : [],
    colour: rampColour(sites.length === 1 ? 1 : i / (sites.length - 1))}));
  const marks = run.marks.map((mark) => ({x: mark.x, kind: mark.kind, colour: cssValue("--ink")}));
  return {x: "tokens", y, lines, marks, ramp: [siteName(sites[0]), siteName(sites[sites.length - 1])]};
}

function lastSiteFigure(state, y) {
  const lines = shownRuns(state).filter(({run}) => run.variances.sites.length > 0).map((shown) => {
    const sites = sortedSites(shown.run.variances);
    return runLine(shown, {x: shown.run.variances.x, y: sites[sites.length - 1].y});
  });
  return {x: "tokens", y, lines, marks: marksOf(state)};
}

function meanGateFigure(state, y) {
  const lines = shownRuns(state).filter(({run}) => run.gates.sites.length > 0).map((shown) => {
    const {x, sites} = shown.run.gates;
    const mean = x.map((_, record) => {
      const values = sites.map((site) => site.y[record]).filter((value) => value !== null);
      return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
    });
    return runLine(shown, {x, y: mean});
  });
  return {x: "tokens", y, lines, marks: marksOf(state)};
}

function shownPairs(state) {
  return state.data.pairs.filter((pair) => !state.hidden.has(pair.run));
}

// The mean difference of each range of steps, and a band of one standard deviation; bands of many runs would hide each other.
function pairedTrainingFigure(state) {
  const lines = [], bands = [], pairs = shownPairs(state);
  for (const pair of pairs) {
    const shown = {run: state.data.runs[pair.run], index: pair.run};
    const {x, mean, low, high} = pair.training;
    lines.push(runLine(shown, {x, y: mean}));
    if (pairs.length > 3) continue;
    const edge = {colour: "transparent", width: 0, twin: lines.length - 1};
    lines.push(runLine(shown, {x, y: high}, edge), runLine(shown, {x, y: low}, edge));
    bands.push([lines.length - 2, lines.length - 1, withAlpha(runColour(pair.run), 0.18)]);
  }
  return {x: "tokens", y: {label: "difference (nats per token)"}, lines, bands};
}

function pairedValidationFigure(state) {
  const lines = shownPairs(state).map((pair) => runLine({run: state.data.runs[pair.run], index: pair.run}, pair.validation,
    {points: pair.validation.x.length <= 100}));
  return {x: "tokens", y: {label: "difference (nats per token)"}, lines};
}
