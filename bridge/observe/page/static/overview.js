// The overview: topics, consumers, dead letters, and the events as they arrive.

import { by, draw, foreign, heads, keyed, make, say, targetName, visible } from "./elements.js";
import { fillEvent } from "./events.js";
import { ask, watch } from "./watch.js";
import { count, counted, moment, momentOf, since } from "./words.js";

const MOST_SHOWN = 150;
const MOST_PAUSED = 300;
const AGAIN_MS = 2000;

let known = "";  // the mark of the event that is known last: the life of the server that counted it, and its number
let loading = false;
let came = [];
let stream = "";
let paused = false;
let waiting = [];
let missed = 0;
let restate = () => {};

function tell(state, text) {
  by("connection").dataset.state = state;
  say(by("connection"), text);
}

// --- cards: each builder fills an item, and returns what changes it

function bars(values) {
  const most = Math.max(1, ...values);
  return draw("svg", { class: "bars", viewBox: `0 0 ${values.length * 4} 24`, preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("path", { class: "bars-base", d: `M0 23.5H${values.length * 4}` }),
    draw("path", { d: values.map((value, n) => (value ? `M${n * 4} 24V${24 - (22 * value) / most - 1}h3V24z` : "")).join("") }));
}

function topicCard(item) {
  item.className = "card";
  const name = make("h3");
  const picture = make("div");
  const facts = make("dl", { class: "facts" });
  item.append(name, picture, facts);
  return (topic) => {
    name.replaceChildren(foreign(topic.name));
    picture.replaceChildren(bars(topic.bars));
    facts.replaceChildren(
      make("dt", {}, "last minute"), make("dd", {}, count(topic.minute)),
      make("dt", {}, "last hour"), make("dd", {}, `${count(topic.hour)}${topic.hour ? ` (${(topic.hour / 60).toFixed(1)} a minute)` : ""}`),
      make("dt", {}, "kept"),
      make("dd", {}, topic.kept === null ? "not known" : `${counted(topic.kept, "record")} in ${counted(topic.partitions, "partition")}`),
      make("dt", {}, "newest"), make("dd", {}, topic.newest_ms ? momentOf(topic.newest_ms) : "none that was seen"),
      ...(topic.unreadable ? [make("dt", {}, "unreadable"), make("dd", {}, counted(topic.unreadable, "record"))] : []));
  };
}

function lagWords(consumer) {
  if (consumer.problem) return ["bad", visible(consumer.problem)];
  if (!consumer.partitions) return ["waiting", "the broker is being asked"];
  if (!consumer.partitions.length) return ["bad", "its topics do not exist, or this login may not see them"];
  if (consumer.lost) return ["bad", `${counted(consumer.lost, "record")} expired before it read them`];
  if (consumer.lag === null) return ["waiting", "has not committed anything yet"];
  const lag = `${consumer.lag_is_least ? "at least " : ""}${counted(consumer.lag, "record")}`;
  if (!consumer.begun && consumer.lag) return ["waiting", `has not committed anything yet: ${lag} wait`];
  if (consumer.lag) return ["waiting", `${lag} behind`];
  return consumer.lag_is_least ? ["waiting", "up to date where it has committed anything"] : ["good", "up to date"];
}

function outcomes(replica) {
  if (replica.trouble) return make("p", { class: "bad" }, visible(replica.trouble));
  const words = [];
  if (replica.destination_up !== undefined) words.push(replica.destination_up ? "the TOM answers" : "the TOM is away");
  if (replica.writer !== undefined) words.push(replica.writer ? "has the right to write" : "has not the right to write");
  if (replica.in_flight) words.push(`${counted(replica.in_flight, "event")} in work, the oldest for ${since(replica.oldest_seconds ?? 0)}`);
  return make("div", {},
    make("p", { class: "small" }, words.join(", ")),
    replica.ends.length
      ? make("table", {},
        make("caption", { class: "small" }, "Ends of events since it was started"),
        heads("outcome", "reason", "#events"),
        make("tbody", {}, ...replica.ends.map((end) => make("tr", {},
          make("td", {}, visible(end.outcome)), make("td", {}, visible(end.reason)), make("td", { class: "number" }, count(end.count))))))
      : make("p", { class: "small" }, "No event has ended since it was started."));
}

function consumerCard(item) {
  item.className = "card";
  const name = make("h3");
  const state = make("p", { class: "state" });
  const about = make("p", { class: "small" });
  const replicas = make("div");
  const rows = make("tbody");
  const partitions = make("details", {}, make("summary", {}, "Partitions"),
    make("table", {},
      heads("partition", "#committed", "#end", "#behind"),
      rows));
  item.append(name, state, about, replicas, partitions);
  return (consumer) => {
    const [mood, words] = lagWords(consumer);
    name.replaceChildren(foreign(consumer.title || consumer.name));
    state.dataset.state = mood;
    say(state, words);
    const moved = consumer.moved_seconds;
    say(about, [
      `consumer ${consumer.name}`,
      consumer.group ? `group ${consumer.group}` : "",
      moved === null || moved === undefined ? "" : `last commit seen ${since(moved)} ago`,
    ].filter(Boolean).map(visible).join(", "));
    replicas.replaceChildren(...(consumer.replicas.length
      ? consumer.replicas.flatMap((replica) => [make("h4", {}, visible(replica.address)), outcomes(replica)])
      : [make("p", { class: "small" }, "What became of events stands in its log and metrics; --consumer-http shows them here.")]));
    partitions.hidden = !(consumer.partitions ?? []).length;
    rows.replaceChildren(...(consumer.partitions ?? []).map((row) => make("tr", {},
      make("td", {}, `${row.topic}[${row.partition}]`),
      make("td", { class: "number" }, row.committed === null ? "none" : count(row.committed)),
      make("td", { class: "number" }, count(row.end)),
      make("td", { class: "number" }, row.lag === null ? "not known" : count(row.lag)))));
  };
}

function letterItem(letter) {
  return make("li", {},
    make("span", { class: "kind" }, visible(letter.reason)), " ",
    letter.about.name ? targetName(letter.about) : "",
    make("p", { class: "event-body" }, foreign(letter.detail)),
    make("p", { class: "small" }, `${visible(letter.id)}, ${moment(visible(letter.time))}, from ${visible(letter.origin)}`));
}

function letterCard(item) {
  item.className = "card";
  const name = make("h3");
  const trouble = make("p", { class: "bad" });
  const none = make("p", { class: "state", "data-state": "good" }, "none is open");
  const rows = make("tbody");
  const table = make("table", {},
    heads("consumer", "reason", "#open"),
    rows);
  const forgotten = make("p", { class: "small" });
  const newest = make("ol", { class: "letters" });
  const details = make("details", {}, make("summary", {}, "The newest"), newest);
  item.append(name, trouble, none, table, forgotten, details);
  return (topic) => {
    name.replaceChildren(foreign(topic.topic.replace(`${stream}:`, "")));
    say(trouble, visible(topic.trouble));
    trouble.hidden = !topic.trouble;
    none.hidden = Boolean(topic.counts.length || topic.trouble);
    table.hidden = !topic.counts.length;
    rows.replaceChildren(...topic.counts.map((row) => make("tr", {},
      make("td", {}, foreign(row.destination)), make("td", {}, foreign(row.reason)), make("td", { class: "number" }, count(row.count)))));
    say(forgotten, topic.forgotten ? `${counted(topic.forgotten, "older letter")} not counted: see tom-bridge dead-letters list` : "");
    forgotten.hidden = !topic.forgotten;
    details.hidden = !topic.newest.length;
    const text = JSON.stringify(topic.newest);
    if (newest.last !== text) {
      newest.last = text;
      newest.replaceChildren(...topic.newest.map(letterItem));
    }
  };
}

function showOverview(overview) {
  stream = overview.stream;
  by("title").replaceChildren(foreign(overview.title || overview.stream));
  document.title = `${visible(overview.title || overview.stream)} - TOM stream bridge`;
  by("trouble").hidden = !overview.trouble;
  say(by("trouble"), visible(overview.trouble));
  if (by("connection").dataset.state === "live") say(by("connection"), overview.caught_up ? "live" : "live, reading history");
  keyed(by("topics"), overview.topics, (topic) => topic.name, topicCard);
  keyed(by("consumers"), overview.consumers, (consumer) => consumer.name, consumerCard);
  keyed(by("letters"), overview.letters, (topic) => topic.topic, letterCard);
  by("no-consumers").hidden = overview.consumers.length > 0;
  by("no-letters").hidden = overview.letters.length > 0;
}

// --- events

function add(events) {
  const list = by("event-list");
  const items = events.map((event) => fillEvent(make("li"), event)).reverse();
  for (const item of items) item.classList.add("fresh");
  list.prepend(...items);
  while (list.children.length > MOST_SHOWN) list.lastElementChild.remove();
  by("no-events").hidden = list.children.length > 0;
}

function tellMissed() {
  const words = [];
  if (paused) words.push(`paused: ${counted(waiting.length, "event")} waiting`);
  if (missed) words.push(`${counted(missed, "event")} came too fast to be shown`);
  say(by("missed"), words.join(", "));
}

function partsOf(mark) {
  const place = mark.lastIndexOf("-");
  return [mark.slice(0, place), Number(mark.slice(place + 1))];
}

function take(shared, mark) {
  if (loading) {
    came.push([shared, mark]);  // what is being loaded may have it, or not
    return;
  }
  const [life, last] = partsOf(mark);
  const [knownLife, knownLast] = partsOf(known);
  const shown = life === knownLife ? knownLast : 0;
  if (last <= shown) return;
  const fresh = shared.events.filter((event) => event.number > shown);
  const all = Math.min(last - shown, shared.missed + shared.events.length);
  known = mark;
  missed += all - fresh.length;
  if (paused) waiting = [...waiting, ...fresh].slice(-MOST_PAUSED);
  else add(fresh);
  tellMissed();
}

async function load() {
  let told = null;
  loading = true;
  try {
    told = await ask("api/overview");
  } catch (error) {
    tell("lost", "no connection, trying again");
    setTimeout(load, AGAIN_MS);
  }
  loading = false;
  if (told) {
    known = told.mark;
    waiting = [];
    missed = 0;
    by("event-list").replaceChildren(...told.events.slice(0, MOST_SHOWN).map((event) => fillEvent(make("li"), event)));
    by("no-events").hidden = told.events.length > 0;
    restate();
    showOverview(told.overview);
    tellMissed();
  }
  for (const [shared, mark] of came.splice(0)) take(shared, mark);
}

by("pause").addEventListener("click", () => {
  paused = !paused;
  by("pause").setAttribute("aria-pressed", String(paused));
  say(by("pause"), paused ? "Go on" : "Pause");
  if (!paused) {
    add(waiting);
    waiting = [];
  }
  tellMissed();
});

await load();
restate = watch({
  address: () => `events?after=${encodeURIComponent(known)}`,
  handlers: { shared: take, overview: showOverview, anew: load },
  refresh: load,
  tell,
});
