// Light curves as SVG: brightness over time, a marker and a colour for each filter, limits as arrows, magnitudes upside down.

import { draw, make, visible } from "./elements.js";
import { counted, moment, momentOf, short } from "./words.js";

const COLOURS = 8;
const OTHERS = "other filters";
const MJD_OF_1970 = 40587;
const DAY = 86400000;
const ROOM = { left: 62, right: 16, top: 12, bottom: 46 };
const ARROW = 13;
const LEAST = 1e-300;  // arithmetic with smaller numbers leaves nothing of them
const NOISE = 1e-14;  // of a number: what is nearer to another is the same
const NEAR = 24;

const MARKERS = [
  (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (x, y, r) => `M${x} ${y - r * 1.35}l${r * 1.35} ${r * 1.35}l${-r * 1.35} ${r * 1.35}l${-r * 1.35} ${-r * 1.35}z`,
  (x, y, r) => `M${x} ${y - r * 1.25}L${x + r * 1.2} ${y + r}H${x - r * 1.2}z`,
  (x, y, r) => `M${x} ${y + r * 1.25}L${x + r * 1.2} ${y - r}H${x - r * 1.2}z`,
];

const arrow = (x, y) => `M${x - 4} ${y}h8M${x} ${y}v${ARROW}m-3.5 -4.5l3.5 4.5l3.5 -4.5`;

const fixed = (number) => Math.round(number * 10) / 10;

// Filters in their units, each with its points, a marker and a colour; those that have none of their own are one, in grey.
export function seriesOf(curve, points) {
  const places = new Map(curve.panels.map((panel, place) => [panel.unit, place]));
  const drawn = curve.series.filter((one) => places.has(one.unit));
  const units = new Map();
  for (const { bandpass, unit } of drawn) units.set(bandpass, (units.get(bandpass) ?? new Set()).add(unit));
  const labelOf = (words, unit, many) => `${words}${many ? `, ${visible(unit)}` : ""}`;
  const found = new Map();
  const byNumber = curve.series.map(({ bandpass, unit, look }) => {
    if (!places.has(unit)) return null;
    const isOther = look === null;
    const key = JSON.stringify(isOther ? [unit] : [unit, bandpass]);
    if (!found.has(key)) {
      found.set(key, {
        key, unit, look,
        label: labelOf(visible(bandpass) || "no filter", unit, units.get(bandpass).size > 1),
        panel: places.get(unit),
        isMagnitude: curve.panels[places.get(unit)].is_magnitude,
        colour: isOther ? "others" : `c${look % COLOURS}`,
        shape: isOther ? 0 : look % MARKERS.length,
        others: 0,
        points: [],
      });
    }
    const one = found.get(key);
    one.others += isOther;
    if (one.others > 1) one.label = labelOf(OTHERS, unit, curve.panels.length > 1);
    return one;
  });
  for (const [time, value, error, limit, number, tom] of points) {
    const isLimit = value === null;
    byNumber[number]?.points.push({ at: Date.parse(time), time, value: isLimit ? limit : value, error: isLimit ? 0 : error ?? 0, isLimit, tom });
  }
  return [...found.values()].sort((a, b) => a.panel - b.panel || (a.look ?? Infinity) - (b.look ?? Infinity));
}

export function sampleOf(one) {
  return draw("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { class: "mark", d: MARKERS[one.shape](8, 8, 5) }));
}

// One picture for each unit, all over the same time.
export function lightCurves(series, about) {
  const panels = new Map();
  for (const one of series) panels.set(one.panel, [...(panels.get(one.panel) ?? []), one]);
  about.read("");
  const span = extent(series.flatMap((one) => one.points).map((point) => point.at), 0.03);
  return [...panels.values()].map((panel) => picture(panel, span, about));
}

function stepOf(range, most) {
  const rough = range / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
}

function ticks(low, high, step) {
  const found = [];
  for (let value = Math.ceil(low / step); value * step <= high + step * 1e-9 && found.length < 50; value += 1) found.push(value * step);
  return found;
}

// As many digits as tell ticks apart; with a power of ten where plain digits would be many.
function tickWords(value, all, step) {
  const power = (number) => Math.floor(Math.log10(Math.abs(number)) + 1e-9);
  if (step >= 1e-4 && all.every((one) => Math.abs(one) < 1e6)) return value.toFixed(Math.max(0, -power(step)));
  return value ? value.toExponential(Math.max(0, power(value) - power(step))) : "0";
}

const DAYS = [1 / 1440, 5 / 1440, 10 / 1440, 30 / 1440, 1 / 24, 3 / 24, 6 / 24, 12 / 24, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

function timeTicks(low, high, most) {
  const step = DAYS.find((days) => (high - low) / DAY / days <= most) ?? stepOf((high - low) / DAY, most);
  const words = (at) => (step < 1 ? momentOf(at).slice(5, 16) : momentOf(at).slice(0, 10));
  return ticks(low / DAY + MJD_OF_1970, high / DAY + MJD_OF_1970, step).map((mjd) => {
    const at = Math.round((mjd - MJD_OF_1970) * DAY);
    return { at, words: words(at), mjd: String(Number(mjd.toFixed(3))) };
  });
}

function extent(values, room) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const size = Math.max(Math.abs(low), Math.abs(high));
  const pad = high - low > size * NOISE ? (high - low) * room : size * 0.01;
  return pad > LEAST ? [low - pad, high + pad] : [low - 1, high + 1];
}

function picture(panel, [begin, end], about) {
  const width = Math.max(280, about.width);
  const height = Math.round(Math.min(440, Math.max(260, width * 0.5)));
  const all = panel.flatMap((one) => one.points);
  const [low, high] = extent(all.flatMap((point) => [point.value - point.error, point.value + point.error]), 0.09);
  const { isMagnitude } = panel[0];
  const inner = { width: width - ROOM.left - ROOM.right, height: height - ROOM.top - ROOM.bottom };
  const x = (at) => fixed(ROOM.left + ((at - begin) / (end - begin || 1)) * inner.width);
  const y = (value) => {
    const part = (value - low) / (high - low || 1);
    return fixed(ROOM.top + (isMagnitude ? part : 1 - part) * inner.height);
  };
  const unit = visible(panel[0].unit);
  const label = isMagnitude ? `magnitude (${unit})` : unit;
  const detections = all.filter((point) => !point.isLimit);
  const brightest = detections.length ? detections.reduce((a, b) => ((isMagnitude ? b.value < a.value : b.value > a.value) ? b : a)) : null;
  const summary = `Light curve of ${about.name}: ${counted(all.length, "point")}, ${all.length - detections.length} of them limits, in ${panel.map((one) => one.label).join(", ")}, ` +
    `from ${momentOf(all.reduce((least, point) => Math.min(least, point.at), Infinity))} ` +
    `to ${momentOf(all.reduce((most, point) => Math.max(most, point.at), -Infinity))}` +
    `${brightest ? `; the brightest is ${short(brightest.value)}` : ""}. ${label}.`;
  const mark = draw("circle", { class: "near", r: 8, visibility: "hidden" });
  const svg = draw("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": summary },
    axes({ x, y, begin, end, low, high, width, height, label }),
    ...panel.map((one) => curve(one, x, y)),
    mark);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const near = nearest(panel, x, y, ((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height);
    mark.setAttribute("visibility", near ? "visible" : "hidden");
    if (!near) return;
    mark.setAttribute("cx", x(near.point.at));
    mark.setAttribute("cy", y(near.point.value));
    about.read(pointWords(near.one, near.point));
  });
  svg.addEventListener("pointerleave", () => {
    mark.setAttribute("visibility", "hidden");
    about.read("");
  });
  return make("figure", {}, svg);
}

function axes({ x, y, begin, end, low, high, width, height, label }) {
  const bottom = height - ROOM.bottom;
  const times = timeTicks(begin, end, Math.max(2, Math.floor((width - ROOM.left) / 130)));
  const step = stepOf(high - low, 7);
  const heights = ticks(low, high, step);
  return draw("g", { class: "axes" },
    draw("path", { class: "grid", d: [...times.map((tick) => `M${x(tick.at)} ${ROOM.top}V${bottom}`), ...heights.map((value) => `M${ROOM.left} ${y(value)}H${width - ROOM.right}`)].join("") }),
    draw("path", { class: "frame", d: `M${ROOM.left} ${ROOM.top}V${bottom}H${width - ROOM.right}` }),
    ...times.flatMap((tick) => {
      const at = Math.min(x(tick.at), width - 42);
      return [
        draw("text", { x: at, y: bottom + 17, "text-anchor": "middle" }, tick.words),
        draw("text", { x: at, y: bottom + 33, "text-anchor": "middle", class: "faint" }, `MJD ${tick.mjd}`),
      ];
    }),
    ...heights.map((value) => draw("text", { x: ROOM.left - 8, y: y(value) + 4, "text-anchor": "end" }, tickWords(value, heights, step))),
    draw("text", { class: "label", "text-anchor": "middle", transform: `translate(14 ${(ROOM.top + bottom) / 2}) rotate(-90)` }, label));
}

function curve(one, x, y) {
  const size = one.points.length > 500 ? 2.5 : 4;
  const seen = one.points.filter((point) => !point.isLimit);
  const limits = one.points.filter((point) => point.isLimit);
  const bars = seen.filter((point) => point.error).map((point) => `M${x(point.at)} ${y(point.value - point.error)}V${y(point.value + point.error)}`);
  return draw("g", { class: `series ${one.colour}` },
    bars.length ? draw("path", { class: "error", d: bars.join("") }) : null,
    limits.length ? draw("path", { class: "limit", d: limits.map((point) => arrow(x(point.at), y(point.value))).join("") }) : null,
    seen.length ? draw("path", { class: "mark", d: seen.map((point) => MARKERS[one.shape](x(point.at), y(point.value), size)).join("") }) : null);
}

function nearest(panel, x, y, left, top) {
  let best = null;
  let least = NEAR * NEAR;
  for (const one of panel) {
    for (const point of one.points) {
      const distance = (x(point.at) - left) ** 2 + (y(point.value) - top) ** 2;
      if (distance < least) {
        least = distance;
        best = { one, point };
      }
    }
  }
  return best;
}

function pointWords(one, point) {
  const value = point.isLimit ? `fainter than ${short(point.value)}` : `${short(point.value)}${point.error ? ` ± ${short(point.error, 3)}` : ""}`;
  return `${one.label}: ${value}, ${moment(point.time)} (MJD ${(point.at / DAY + MJD_OF_1970).toFixed(4)}), ${visible(point.tom)}`;
}
