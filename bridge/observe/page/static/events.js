// One event as one item of a list.

import { foreign, make, targetLink, targetName, visible } from "./elements.js";
import { brightness, bytes, count, counted, moment } from "./words.js";

const KINDS = {
  targets: "target",
  reduced_datums: "data",
  data_products: "data product",
  target_lists: "target list",
  unreadable: "unreadable",
};

function contents(event) {
  const parts = [];
  if (event.kind === "unreadable") return [`${visible(event.reason)}: `, foreign(event.detail)];
  if (event.product) {
    parts.push(foreign(event.product.name), ` (${visible(event.product.type)}, ${bytes(event.product.bytes)})`);
  }
  if (event.datums) parts.push(parts.length ? ", " : "", counted(event.datums, "datum"));
  if (event.latest) {
    parts.push(parts.length ? ", latest " : "", foreign(brightness(event.latest)), ` on ${moment(event.latest.time)}`);
  }
  if (event.lists) {
    parts.push(parts.length ? ", in " : "in ", ...event.lists.flatMap((name, n) => [n ? ", " : "", foreign(name)]));
  }
  if (event.members) {
    parts.push(`${count(event.member_count)} targets: `);
    parts.push(...event.members.flatMap((member, n) => [n ? ", " : "", targetName(member)]));
    if (event.member_count > event.members.length) parts.push(" and more");
  }
  return parts;
}

// Fills an item of a list.
export function fillEvent(item, event, { linked = true } = {}) {
  const subject = event.list ?? event.target;
  const name = subject === undefined ? "" : event.linked && linked ? targetLink(subject) : foreign(subject);
  const said = [event.title, event.message].filter(Boolean).join(": ");
  const details = contents(event);
  item.className = `event ${event.kind in KINDS ? event.kind : ""}`;
  item.replaceChildren(...[
    make("p", { class: "event-head" },
      make("span", { class: "kind" }, KINDS[event.kind] ?? visible(event.kind)),
      make("span", { class: "event-name" }, name),
      make("time", { datetime: event.time ?? false }, moment(event.time))),
    details.length ? make("p", { class: "event-body" }, ...details) : null,
    said ? make("p", { class: "event-body" }, foreign(said)) : null,
    make("p", { class: "small" },
      ...(event.tom ? ["from ", foreign(event.tom), event.source ? make("span", {}, " at ", foreign(event.source)) : null, ", "] : []),
      ...(event.submitter ? ["shared by ", foreign(event.submitter), ", "] : []),
      `${event.topic}[${event.partition}]@${event.offset}`),
  ].filter(Boolean));
  return item;
}
