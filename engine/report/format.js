"use strict";
// Texts, colours and small helpers of the report. Values come from the JSON that engine/report/report.hpp describes.

// The colours of Okabe and Ito, which people with each kind of colour blindness can distinguish; null: that of the text. Yellow
// is darker than theirs, because theirs is hard to see on white.
const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", null, "#B8A800"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
// Stops of the colour map viridis, for lines that are ordered by depth or by time.
const RAMP = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];

const darkMode = matchMedia("(prefers-color-scheme: dark)");

function cssValue(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function runColour(index) {
  return PALETTE[index % PALETTE.length] || cssValue("--ink");
}

function runDash(index) {
  return DASHES[Math.floor(index / PALETTE.length) % DASHES.length];
}

function withAlpha(colour, alpha) {
  const value = parseInt(colour.slice(1), 16);
  return `rgba(${value >> 16}, ${(value >> 8) & 255}, ${value & 255}, ${alpha})`;
}

// share: 0 to 1. The ends that have too little contrast with the background are left out.
function rampColour(share) {
  const place = (darkMode.matches ? 0.3 + 0.7 * share : 0.88 * share) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  const mix = RAMP[low].map((value, i) => Math.round(value + (place - low) * (RAMP[low + 1][i] - value)));
  return `rgb(${mix.join(", ")})`;
}

function shorten(value, digits) {
  return String(Number(value.toPrecision(digits)));
}

// With a decimal prefix: 1500000 is "1.5M".
function withPrefix(value, digits = 6) {
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(value) >= size) return shorten(value / size, digits) + letter;
  return shorten(value, digits);
}

function number(value, digits = 5) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(Math.max(0, digits - 3));
  return shorten(value, digits);
}

// For the labels of an axis: as short as the value allows.
function tick(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e15 || size < 1e-3)) return Number(value.toPrecision(6)).toExponential().replace("e+", "e");
  return size >= 1e4 ? withPrefix(value) : shorten(value, 6);
}

function signed(value, digits = 4) {
  const text = number(value, digits);
  return value > 0 ? "+" + text : text.replace("-", "−");
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return shorten(seconds, 3) + " s";
  if (seconds < 3600) return shorten(seconds / 60, 3) + " min";
  return shorten(seconds / 3600, 3) + " h";
}

// element("td", {className: "text"}, "words", another element)
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
