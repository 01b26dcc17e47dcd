// The tables of the report.

// columns: [[heading, function of a row, class name]]
function table(columns, rows) {
  const head = element("tr", {}, ...columns.map(([heading, , className]) =>
    element("th", {textContent: heading, className: className || "", scope: "col"})));
  const body = rows.map((row) => element("tr", {}, ...columns.map(([, value, className]) => {
    const found = value(row);
    const cell = element("td", {className: className || ""});
    cell.append(found === null || found === undefined ? "–" : found);
    return cell;
  })));
  return element("div", {className: "table"},
    element("table", {className: "data"}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function swatch(index) {
  const line = element("span", {className: "swatch"});
  line.style.borderColor = runColour(index);
  if (runDash(index).length > 0) line.style.borderTopStyle = "dashed";
  return line;
}

function perplexity(loss) {
  return loss === null || loss === undefined ? null : number(Math.exp(loss));
}

function prefixed(value) {
  return value === null ? null : withPrefix(value, 4);
}

function gibibytes(bytes) {
  return bytes === null ? null : shorten(bytes / 2 ** 30, 3) + " GiB";
}

function atStep(loss, step) {
  return loss === null || loss === undefined ? null : `${number(loss)} at step ${step}`;
}

function numbersTable(state) {
  const numbers = (key) => (run) => number(run.numbers[key]);
  return table([
    ["run", (run) => run.label, "text"],
    ["architecture", (run) => run.architecture, "text"],
    ["parameters", (run) => prefixed(run.parameters)],
    ["steps", (run) => String(run.numbers.steps)],
    ["tokens", (run) => withPrefix(run.numbers.tokens, 4)],
    ["training loss (nats per token)", numbers("training_loss")],
    ["training perplexity", (run) => perplexity(run.numbers.training_loss)],
    ["validation loss (nats per token)", numbers("validation_loss")],
    ["validation perplexity", (run) => perplexity(run.numbers.validation_loss)],
    ["best validation loss", (run) => atStep(run.numbers.best_validation_loss, run.numbers.best_validation_step)],
    ["tokens per second", (run) => prefixed(run.numbers.tokens_per_second)],
    ["MFU", (run) => (run.numbers.mfu === null ? null : shorten(100 * run.numbers.mfu, 3) + " %")],
    ["time", (run) => duration(run.numbers.seconds.total)],
    ["memory of rank 0", (run) => gibibytes(run.numbers.resident_bytes)],
    ["skipped steps", (run) => String(run.numbers.skipped)],
  ], state.data.runs);
}

function pairsTable(state) {
  const late = (pair) => pair.numbers.last_tenth;
  return table([
    ["run", (pair) => state.data.runs[pair.run].label, "text"],
    ["validation loss: last difference", (pair) => signed(pair.numbers.validation)],
    ["at tokens", (pair) => prefixed(pair.numbers.validation_tokens)],
    ["training loss: mean difference of the last tenth", (pair) => signed(late(pair).mean)],
    ["standard deviation of these differences", (pair) => number(late(pair).deviation, 3)],
    ["their number", (pair) => String(late(pair).count)],
    ["pairs of steps", (pair) => String(pair.numbers.pairs)],
    ["until tokens", (pair) => prefixed(pair.numbers.tokens)],
  ], state.data.pairs);
}

function differencesTable(state) {
  return table([["key", (row) => row.key, "text"],
    ...state.data.runs.map((run, i) => [run.label, (row) => row.values[i], "text"])], state.data.differences);
}

function eventsTable(state) {
  const rows = state.data.runs.flatMap((run) => run.marks.map((mark) => ({run, mark}))).slice(0, 1000);
  return table([
    ["mark", ({mark}) => markSign(mark.kind)],
    ["run", ({run}) => run.label, "text"],
    ["step", ({mark}) => String(mark.step)],
    ["tokens", ({mark}) => withPrefix(mark.x, 4)],
    ["event", ({mark}) => mark.kind, "text"],
    ["action", ({mark}) => mark.action || null, "text"],
    ["rank", ({mark}) => (mark.rank < 0 ? null : String(mark.rank))],
    ["text", ({mark}) => mark.text, "text wide"],
  ], rows);
}

// The number of events of each kind, of all events and not only of those in the table.
function eventCounts(run) {
  const counts = Object.entries(run.mark_counts).map(([kind, count]) => `${markSign(kind)} ${kind}: ${count}`);
  return `${run.label}: ${counts.length === 0 ? "no event" : counts.join(", ")}`;
}

// One bar per run; its parts are the shares of the phases.
function phaseBars(state) {
  const box = element("div", {className: "phases"});
  for (const run of state.data.runs) {
    const {seconds} = run.numbers;
    const bar = element("div", {className: "bar"});
    for (const [phase, colour] of PHASES) {
      const part = element("i", {title: `${phase}: ${duration(seconds[phase])}`});
      part.style.width = `${seconds.total > 0 ? 100 * seconds[phase] / seconds.total : 0}%`;
      part.style.background = colour;
      bar.append(part);
    }
    box.append(element("span", {textContent: run.label}), bar);
  }
  const keys = element("div", {className: "keys"}, ...PHASES.map(([phase, colour]) => {
    const square = element("b");
    square.style.background = colour;
    return element("span", {}, square, phase);
  }));
  return element("div", {}, box, keys);
}

function phaseTable(state) {
  return table([["run", (run) => run.label, "text"],
    ...PHASES.map(([phase]) => [phase, (run) => duration(run.numbers.seconds[phase])]),
    ["total", (run) => duration(run.numbers.seconds.total)]], state.data.runs);
}
