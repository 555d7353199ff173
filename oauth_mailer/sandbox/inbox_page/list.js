// The list of what arrived, newest first.

import { byId, h, recipient, say, sender, size, t, time, unseen, way } from "./parts.js";

const MOST_SHOWN = 500;
const MOST_RECIPIENTS = 4;
const SOON = 30; // milliseconds in which arrivals are shown together
const list = byId("list");
const search = byId("search");
let rows = []; // { message, element, words }, newest first
let total = 0;
let open = null;
let meanwhile = null; // what arrives while the list is asked for, which the answer may not have yet
let due = null;
const seen = new Set();

export function expectMessages() {
  meanwhile = [];
}

export function setMessages(messages, all) {
  const added = meanwhile ?? [];
  meanwhile = null;
  rows = messages.map(makeRow);
  total = all;
  added.forEach(addMessage);
  show();
}

export function addMessage(message) {
  meanwhile?.push(message);
  if (rows.some((row) => row.message.id === message.id)) return;
  rows.unshift(makeRow(message));
  total += 1;
  rows.splice(MOST_SHOWN);
  due ??= setTimeout(show, SOON);
  say(t("arrived", { sender: sender(message), subject: message.subject || t("no_subject") }));
}

export function clearMessages() {
  expectMessages();
  setMessages([], 0);
}

export function hasMessages() {
  return rows.length > 0;
}

export function markOpen(id) {
  open = id;
  if (id) seen.add(id);
  for (const { message, element } of rows) mark(message, element);
  showTitle();
}

// Move the focus to the next (1) or previous (-1) message; from a message that is read, open that one.
export function move(step) {
  const links = shown().map((row) => row.element.firstElementChild);
  if (!links.length) return;
  const reading = byId("view").contains(document.activeElement);
  let at = links.indexOf(document.activeElement);
  if (at < 0) at = shown().findIndex((row) => row.message.id === open);
  const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1)];
  if (reading) location.hash = next.hash;
  else next.focus();
  next.scrollIntoView({ block: "nearest" });
}

export function focusList() {
  const row = shown().find(({ message }) => message.id === open) ?? shown()[0];
  if (row) row.element.firstElementChild.focus();
}

function makeRow(message) {
  const element = h(
    "li",
    {},
    h(
      "a",
      { href: `#/${message.id}`, class: "row" },
      h("span", { class: "line" }, h("span", { class: "who" }, h("span", { class: "unseen fresh" }, `${t("unread")} `), unseen(`${t("from")} `), sender(message)), time(message.at)),
      h("span", { class: message.subject ? "subject" : "subject missing" }, message.subject || t("no_subject")),
      h("span", { class: "line" }, to(message), facts(message)),
    ),
  );
  const words = [message.subject, message.from, message.sender, ...message.recipients.map((one) => one.address)];
  mark(message, element);
  return { message, element, words: words.join("\n").toLowerCase() };
}

// Who is seen by the others first; the rest is cut off where there is no room.
function to({ recipients }) {
  const sorted = recipients.toSorted((one, other) => one.bcc - other.bcc);
  const more = recipients.length - MOST_RECIPIENTS;
  return h(
    "span",
    { class: "recipients" },
    unseen(`${t("to")} `),
    sorted.slice(0, MOST_RECIPIENTS).map(recipient),
    more > 0 && h("span", { class: "more" }, `+${more}`),
  );
}

function facts({ recipients, route, size: octets }) {
  const hidden = recipients.filter((one) => one.bcc).map((one) => one.address);
  return h(
    "span",
    { class: "facts" },
    hidden.length > 0 && h("span", { class: "bcc", title: hidden.join(", ") }, `${t("bcc")} ${hidden.length}`),
    way(route),
    h("span", {}, size(octets)),
  );
}

function mark(message, element) {
  const link = element.firstElementChild;
  link.classList.toggle("new", !seen.has(message.id));
  if (message.id === open) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function shown() {
  const wanted = search.value.toLowerCase().split(/\s+/);
  return rows.filter((row) => wanted.every((word) => row.words.includes(word)));
}

function show() {
  clearTimeout(due);
  due = null;
  const found = shown();
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  // Only what changed is moved, so that neither the focus nor the place is lost.
  const wanted = new Set(found.map((row) => row.element));
  for (const element of [...list.children]) if (!wanted.has(element)) element.remove();
  found.forEach(({ element }, at) => {
    if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
  });
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus();
  byId("none-found").hidden = found.length > 0 || !rows.length;
  byId("open-clear").disabled = !rows.length;
  let text = t("count", { count: rows.length });
  if (total > rows.length) text = t("count_newest", { count: rows.length, all: total });
  if (search.value.trim()) text = t("count_found", { count: found.length, all: rows.length });
  byId("count").textContent = text;
  showTitle();
}

function showTitle() {
  const fresh = rows.filter(({ message }) => !seen.has(message.id)).length;
  document.title = fresh ? `(${fresh}) ${t("title")}` : t("title");
}

search.addEventListener("input", show);
