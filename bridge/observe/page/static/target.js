// A target's page: its light curve, what was said of it, and everything that was shared about it.

import { by, foreign, heads, keyed, make, say, targetName, visible } from "./elements.js";
import { fillEvent } from "./events.js";
import { lightCurves, sampleOf, seriesOf } from "./lightcurve.js";
import { ask, watch } from "./watch.js";
import { bytes, count, counted, sexagesimal, short } from "./words.js";

const MOST_ROWS = 1000;
const EVERY_MS = 1000;
const ABOUT = {
  type: "type", ra: "right ascension", dec: "declination", epoch: "epoch", pm_ra: "proper motion in ra, mas/yr",
  pm_dec: "proper motion in dec, mas/yr", parallax: "parallax, mas", distance: "distance, pc", scheme: "elements",
  eccentricity: "eccentricity", inclination: "inclination, deg", semimajor_axis: "semimajor axis, au",
};

const name = new URLSearchParams(location.search).get("name") ?? "";
const hidden = new Set();
let last = null;
let loading = false;
let again = false;
let factsShown = "";
let restate = () => {};

function tell(state, text) {
  by("connection").dataset.state = state;
  say(by("connection"), text);
}

function readingWords(read) {
  const far = `${count(read.records)} of ${counted(read.of, "record")}`;
  switch (read.state) {
    case "waiting": return "Other targets are read for; this one is next.";
    case "reading": return `Reading the topics: ${far}.`;
    case "stopped": return `The topics hold more than can be read while you wait: stopped after ${far}. tom-bridge export reads them all.`;
    case "failed": return `The topics could not be read: ${visible(read.why)}`;
    default: return "";
  }
}

function external(address) {
  const isWeb = /^https?:\/\//.test(address);
  return isWeb ? make("a", { href: address, rel: "noreferrer noopener" }, foreign(address)) : foreign(address);
}

function listed(items) {
  return make("ul", { class: "plain" }, ...items.map((item) => make("li", {}, ...[item].flat())));
}

function facts(target) {
  const found = [];
  const add = (term, ...values) => found.push(make("dt", {}, term), make("dd", {}, ...values));
  const known = target.target;
  const others = target.names.filter((other) => other.name !== name);
  if (others.length) add("names", listed(others.map(targetName)));
  if (known.ra !== undefined && known.dec !== undefined) add("position", sexagesimal(known.ra, known.dec));
  for (const [key, value] of Object.entries(known)) {
    if (key !== "extras") add(ABOUT[key] ?? key.replaceAll("_", " "), typeof value === "number" ? short(value, 10) : foreign(value));
  }
  for (const [key, value] of Object.entries(known.extras ?? {})) add(foreign(key), foreign(value));
  if (target.sources.length) {
    add("shared by", listed(target.sources.map((from) => [foreign(from.tom), ` (${counted(from.events, "event")})`])));
  }
  if (target.pages.length) add("its page there", listed(target.pages.map(external)));
  if (target.lists.length) add("target lists", listed(target.lists.map((list) => foreign(list))));
  const types = Object.entries(target.types);
  if (types.length) add("reduced datums", listed(types.map(([type, number]) => [foreign(type), `: ${count(number)}`])));
  if (target.products.length) {
    add("data products", listed(target.products.map((product) => [foreign(product.name), ` (${visible(product.type)}, ${bytes(product.bytes)})`])));
  }
  return found;
}

function table({ points, curve }) {
  return make("table", {},
    make("caption", { class: "small" }, points.length > MOST_ROWS ? `The last ${count(MOST_ROWS)} of ${counted(points.length, "point")}` : counted(points.length, "point")),
    heads("time", "filter", "#brightness", "#error", "#limit", "unit", "source TOM"),
    make("tbody", {}, ...points.slice(-MOST_ROWS).map(([time, value, error, limit, series, tom]) => make("tr", {},
      make("td", {}, time.replace("T", " ").replace(/\.?0*Z$/, "")), make("td", {}, foreign(curve.series[series].bandpass)),
      make("td", { class: "number" }, short(value, 10)), make("td", { class: "number" }, short(error, 6)),
      make("td", { class: "number" }, short(limit, 10)), make("td", {}, foreign(curve.series[series].unit)), make("td", {}, foreign(tom))))));
}

function bandBox(item) {
  const box = make("input", { type: "checkbox", checked: true });
  const sample = make("span", { class: "sample" });
  const label = make("span");
  const number = make("span", { class: "small" });
  item.append(make("label", { class: "band" }, box, sample, label, number));
  box.addEventListener("change", () => {
    if (box.checked) hidden.delete(item.key);
    else hidden.add(item.key);
    drawCurves();
  });
  return (one) => {
    item.className = one.colour;
    sample.replaceChildren(sampleOf(one));
    label.replaceChildren(foreign(one.label));
    say(number, count(one.number));
  };
}

function bands(series) {
  keyed(by("bands"), series.map(({ points, ...one }) => ({ ...one, number: points.length })), (one) => one.key, bandBox);
}

function leftOut(curve, series) {
  const sum = (key) => series.reduce((all, one) => all + (one.others ? key(one) : 0), 0);
  const words = [];
  if (sum((one) => one.others)) words.push(`${counted(sum((one) => one.points.length), "point")} in ${counted(sum((one) => one.others), "more filter")} in grey.`);
  if (curve.left_out) words.push(`${counted(curve.left_out, "more point")} not drawn here; tom-bridge export has them all.`);
  return words.join(" ");
}

function drawCurves() {
  if (!last) return;
  const series = seriesOf(last.curve, last.points);
  bands(series);
  const words = leftOut(last.curve, series);
  by("left-out").hidden = !words;
  say(by("left-out"), words);
  by("curves").replaceChildren(...lightCurves(series.filter((one) => !hidden.has(one.key)), {
    name: visible(name),
    width: by("curves").clientWidth,
    read: (words) => say(by("readout"), words || "Arrows are limits. Point at the curve to read a point; the table below has them all."),
  }));
}

function show(target) {
  last = target;
  const words = readingWords(target.read);
  say(by("reading"), words);
  by("reading").hidden = !words;
  by("reading").classList.toggle("bad", ["failed", "stopped"].includes(target.read.state));
  by("curve-section").hidden = !target.points.length && !target.curve.left_out;
  drawCurves();
  if (by("table").open) by("table-scroll").replaceChildren(table(target));
  const known = JSON.stringify([target.names, target.target, target.sources, target.pages, target.lists, target.types, target.products]);
  if (known !== factsShown) {
    factsShown = known;
    by("facts").replaceChildren(...facts(target));
  }
  const done = ["complete", "stopped"].includes(target.read.state);
  say(by("shared-count"), target.event_count
    ? `${counted(target.event_count, "event")}${target.event_count > target.events.length ? `, of which the last ${count(target.events.length)}` : ""}${target.missed ? `; ${count(target.missed)} more came while the topics were read` : ""}`
    : done ? "Nothing was shared under this name, as far as the topics still keep it." : "Nothing found yet.");
  const placed = new Map();
  keyed(by("event-list"), target.events, (event) => {
    const place = `${event.topic}[${event.partition}]@${event.offset}`;  // a Hermes message makes several events
    placed.set(place, (placed.get(place) ?? 0) + 1);
    return `${place}#${placed.get(place)}`;
  }, (item) => (event) => fillEvent(item, event, { linked: event.target !== name }));
}

async function load() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  let told = null;
  try {
    told = await ask(`api/target?name=${encodeURIComponent(name)}`);
  } catch (error) {
    again = true;
    tell("lost", "no connection, trying again");
  }
  setTimeout(() => {
    loading = false;
    if (again) {
      again = false;
      load();
    }
  }, EVERY_MS);
  if (!told) return;
  restate();
  if (told.error) say(by("reading"), told.error);
  else if (!last || told.version !== last.version) show(told);
}

by("title").replaceChildren(foreign(name || "Target"));
by("name").value = name;
document.title = `${visible(name)} - TOM stream bridge`;
by("table").addEventListener("toggle", () => { if (by("table").open && last) by("table-scroll").replaceChildren(table(last)); });
new ResizeObserver(drawCurves).observe(by("curve-section"));

if (name.trim()) {
  await load();
  restate = watch({ address: () => `events?target=${encodeURIComponent(name)}`, handlers: { changed: load }, refresh: load, tell });
} else {
  say(by("reading"), "Write a target's name or alias above.");
  tell("waiting", "");
}
