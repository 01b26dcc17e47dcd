// Builds the page from the embedded data.

const NATS = "loss (nats per token)";

function section(title) {
  const box = element("section", {}, element("h2", {textContent: title}));
  document.getElementById("main").append(box);
  return box;
}

function figureGrid(parent) {
  const grid = element("div", {className: "figures"});
  parent.append(grid);
  return grid;
}

function note(parent, text) {
  parent.append(element("p", {className: "note", textContent: text}));
}

function numbersSection(state) {
  const {data} = state;
  const box = section("Numbers");
  box.append(numbersTable(state));
  const records = Math.max(...data.runs.map((run) => run.numbers.training_records));
  note(box, `Training loss: mean of the last ${records} recorded steps, or of all if a run has fewer. Speed and MFU: medians ` +
    "of the records. Memory: the largest resident memory.");
  if (data.runs.length === 1) return;
  box.append(element("h3", {textContent: `Differences to ${data.runs[0].label} at equal tokens`}), pairsTable(state));
  note(box, "Each difference is the loss of the run minus the loss of the first run, in nats per token, at a number of tokens " +
    "that both runs recorded. Negative: the run is better than the first run. The standard deviation is that of single steps " +
    "of these two runs; it is not the spread between seeds.");
  box.append(element("h3", {textContent: "Differences of the configurations"}));
  if (data.differences.length > 0) box.append(differencesTable(state));
  else note(box, "The configurations that could be read do not differ, except in name and directory.");
}

function configurationNotes(state) {
  for (const run of state.data.runs)
    if (run.configuration)
      note(document.querySelector("header"), `${run.label}: shown without its configuration: ${run.configuration}`);
}

function lossFigures(state, add) {
  const grid = figureGrid(section("Loss"));
  const identity = (value) => value;
  add(grid, "Training loss", "Strong lines: means over ranges of steps. Pale lines: recorded steps.", () => trainingFigure(state, {label: NATS}, identity));
  add(grid, "Validation loss", null, () => validationFigure(state, {label: NATS}, identity));
  const y = {label: "perplexity", log: true};
  add(grid, "Training perplexity", "exp(loss), logarithmic axis", () => trainingFigure(state, y, Math.exp));
  add(grid, "Validation perplexity", "exp(loss), logarithmic axis", () => validationFigure(state, y, Math.exp));
  if (state.data.runs.length === 1) return;
  const first = state.data.runs[0].label;
  add(grid, `Training loss minus that of ${first}`, "Means over ranges of steps; the band is one standard deviation of single " +
    "steps (for up to three runs).", () => pairedTrainingFigure(state));
  add(grid, `Validation loss minus that of ${first}`, "At equal tokens", () => pairedValidationFigure(state));
}

function optimizerFigures(state, add) {
  const grid = figureGrid(section("Updates"));
  add(grid, "Learning rate", null, () => seriesFigure(state, "learning_rate", {label: "learning rate"}));
  add(grid, "Gradient norm", "L2 norm over all parameters before clipping, logarithmic axis",
    () => seriesFigure(state, "gradient_norm", {label: "gradient norm", log: true}));
  if (state.data.runs.some((run) => run.series.gate_gradient_norm))
    add(grid, "Gradient norm of the gates", "L2 norm over all gates before clipping, logarithmic axis",
      () => seriesFigure(state, "gate_gradient_norm", {label: "gradient norm", log: true}));
}

function speedFigures(state, add, addChosen) {
  const box = section("Speed and memory");
  const grid = figureGrid(box);
  add(grid, "Throughput", "All ranks, without evaluations and checkpoints",
    () => seriesFigure(state, "tokens_per_second", {label: "tokens per second"}));
  if (state.data.runs.some((run) => run.series.mfu))
    add(grid, "MFU", "Model FLOP utilisation, counted as Megatron-LM does",
      () => seriesFigure(state, "mfu", {label: "MFU (%)"}, (value) => 100 * value));
  add(grid, "Memory", "Resident memory of the process, and planned memory", () => memoryFigure(state));
  addChosen(grid, "Time per step by phase", "On rank 0, without evaluations and checkpoints", () => phaseFigure(state));
  box.append(element("h3", {textContent: "Time by phase"}), phaseBars(state), phaseTable(state));
}

function layerFigures(state, add, addChosen) {
  const {runs} = state.data;
  const several = runs.length > 1;
  const when = several ? "At the last record of each run" : "At four records of the run";
  if (runs.some((run) => run.variances.x.length > 0)) {
    const y = {label: "variance", log: true};
    const grid = figureGrid(section("Residual stream"));
    add(grid, "Activation variance by sub-layer", when + ", logarithmic axis", () => depthFigure(state, "variances", y));
    if (several)
      add(grid, "Activation variance after the last sub-layer", "Logarithmic axis", () => lastSiteFigure(state, y));
    addChosen(grid, "Activation variance over training", "A line per sub-layer; MLP dashed. Logarithmic axis.",
      () => sitesFigure(state, "variances", y));
  }
  if (runs.some((run) => run.gates.x.length > 0)) {
    const y = {label: "gate value s(g)"};
    const grid = figureGrid(section("Gates"));
    add(grid, "Gate value by layer", when + ". The gate removes this share of the activation.",
      () => depthFigure(state, "gates", y));
    if (several) add(grid, "Mean gate value over training", "Mean over all gates of a run", () => meanGateFigure(state, y));
    addChosen(grid, "Gate values over training", "A line per gate; MLP dashed", () => sitesFigure(state, "gates", y));
  }
}

function eventsSection(state) {
  const box = section("Events");
  for (const run of state.data.runs) note(box, eventCounts(run));
  if (state.data.runs.some((run) => run.marks.length > 0)) box.append(eventsTable(state));
  note(box, "The figures by tokens mark these events with the sign at the top of a vertical line. If a run has very many " +
    "events, figures and table show a part of them; the numbers above count all. A restart that lost no step leaves no record.");
}

function summary(state) {
  const {data} = state;
  const thinned = data.runs.some((run) => run.thinned);
  const count = `${data.runs.length} run${data.runs.length > 1 ? "s" : ""}`;
  document.getElementById("summary").textContent = `${count}, gpas ${data.version}. ` +
    (thinned ? "Long series are thinned: of each range of steps the figures show the smallest and the largest value, so each " +
      "spike is visible; means and tables use all records." : "The figures show every record.");
  const first = data.runs[0].label;
  document.title = (data.runs.length > 1 ? `${first} and ${data.runs.length - 1} more` : first) + ": gpas report";
}

function runSwitches(state, redraw) {
  const box = document.getElementById("runs");
  box.replaceChildren();
  if (state.data.runs.length === 1) return;
  state.data.runs.forEach((run, index) => {
    const input = element("input", {type: "checkbox", checked: !state.hidden.has(index)});
    input.addEventListener("change", () => {
      if (input.checked) state.hidden.delete(index);
      else state.hidden.add(index);
      redraw();
    });
    box.append(element("label", {}, input, swatch(index), run.label));
  });
}

// A menu of runs for a figure of one run; all these menus show the same run.
function chosenMenu(state, redraw) {
  const menu = element("select", {}, ...state.data.runs.map((run, index) =>
    element("option", {value: index, textContent: run.label})));
  menu.setAttribute("aria-label", "Run that this figure shows");
  menu.className = "chosen";
  menu.value = String(state.chosen);
  menu.addEventListener("change", () => {
    state.chosen = Number(menu.value);
    for (const other of document.querySelectorAll("select.chosen")) other.value = menu.value;
    redraw();
  });
  return menu;
}

function main() {
  const data = JSON.parse(document.getElementById("data").textContent);
  // Figures of one run begin with a run that has gates, because the other runs have fewer of these figures.
  const chosen = Math.max(0, data.runs.findIndex((run) => run.gates.x.length > 0));
  const state = {data, hidden: new Set(), chosen};
  const overlays = [], single = [];
  const redrawOverlays = () => overlays.forEach((figure) => figure.draw());
  const redrawSingle = () => single.forEach((figure) => figure.draw());
  const add = (grid, title, words, spec) => overlays.push(makeFigure(grid, title, words, spec));
  const addChosen = (grid, title, words, spec) => {
    single.push(makeFigure(grid, title, words, spec));
    if (state.data.runs.length > 1)
      grid.lastElementChild.querySelector("figcaption").append(chosenMenu(state, redrawSingle));
  };
  summary(state);
  runSwitches(state, redrawOverlays);
  configurationNotes(state);
  numbersSection(state);
  lossFigures(state, add);
  optimizerFigures(state, add);
  speedFigures(state, add, addChosen);
  layerFigures(state, add, addChosen);
  eventsSection(state);
  darkMode.addEventListener("change", () => {
    runSwitches(state, redrawOverlays);
    redrawOverlays();
    redrawSingle();
  });
}

main();
