// The page: what happens comes as events, what is shown is said by the address, keys do what clicks do.

import { addToLog, setLog, setPlans } from "./faults.js";
import { addMessage, clearMessages, expectMessages, focusList, hasMessages, markOpen, move, setMessages } from "./list.js";
import { chooseTab, showMessage, showNone } from "./message.js";
import { ask, byId, h, say, t, told } from "./parts.js";

const live = byId("live");
const search = byId("search");

function showState(state) {
  live.dataset.state = state;
  live.textContent = t(state);
}

// Everything anew, after each connection: what happened before it is not told again.
let reloading = false;
async function reload() {
  reloading = true;
  try {
    expectMessages();
    const [{ messages, total }, { events }] = await Promise.all([ask("/api/messages"), ask("/api/log")]);
    if (!reloading) return reload(); // cleared meanwhile: the answer may be older than that
    reloading = false;
    setMessages(messages, total);
    setLog(events);
    showState("live");
    route();
  } catch {
    showState("lost");
  }
}

function listen() {
  const events = new EventSource("/api/events");
  const on = (name, act) => events.addEventListener(name, (event) => act(JSON.parse(event.data)));
  events.addEventListener("open", reload);
  events.addEventListener("error", () => showState(events.readyState === EventSource.CLOSED ? "lost" : "connecting"));
  on("plans", setPlans);
  on("happened", addToLog);
  on("arrived", (message) => {
    const first = !hasMessages();
    addMessage(message);
    if (first) route();
  });
  on("cleared", () => {
    reloading = false;
    clearMessages();
    setLog([]);
    say(t("cleared"));
    if (location.hash.length > 2) location.hash = "#/";
    else route();
  });
  on("reset", reload);
}

// The address says which message is open: #/ID
let routed;
function route() {
  const id = location.hash.slice(2);
  document.body.classList.toggle("reading", Boolean(id));
  markOpen(id || null);
  if (id && id === routed) return;
  routed = id;
  if (id) showMessage(id);
  else showNone(welcome());
}

function welcome() {
  const { gmail_endpoint, smtp, code } = told.settings;
  const row = (name, value) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, h("code", {}, value), copy(value, t(name))));
  const any = hasMessages();
  return h(
    "div",
    { class: "welcome" },
    h("img", { src: "/inbox/icon.svg", alt: "", width: 56, height: 56 }),
    h("h2", {}, t(any ? "choose" : "waiting")),
    h("p", { class: "soft" }, t(any ? "choose_hint" : "waiting_hint")),
    h(
      "dl",
      {},
      row("gmail_api", gmail_endpoint),
      row("smtp_tls", `${smtp.host}:${smtp.port}`),
      row("smtp_starttls", `${smtp.host}:${smtp.starttls_port}`),
      row("ca_file", smtp.ca_file),
      row("code", code),
    ),
  );
}

function copy(value, name) {
  const button = h("button", { type: "button", class: "copy", "aria-label": `${t("copy")}: ${name}` }, t("copy"));
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(value);
    button.textContent = t("copied");
    say(t("copied"));
  });
  return button;
}

function openDialog(id) {
  if (!document.querySelector("dialog[open]")) byId(id).showModal();
}

for (const id of ["faults", "clear", "keys"]) byId(`open-${id}`).addEventListener("click", () => openDialog(id));
for (const button of document.querySelectorAll("[data-close]"))
  button.addEventListener("click", () => button.closest("dialog").close());
byId("clear-now").addEventListener("click", async () => {
  byId("clear").close();
  try {
    await ask("/api/messages", { method: "DELETE" });
  } catch (error) {
    say(t("failed", { reason: error.message }));
  }
});

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  "/": () => search.focus(),
  f: () => openDialog("faults"),
  "?": () => openDialog("keys"),
  Escape: () => {
    location.hash = "#/";
    focusList();
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const focused = document.activeElement;
  if (focused === search) {
    if (event.key === "Escape") {
      search.value = "";
      search.dispatchEvent(new Event("input"));
    }
    if (["Escape", "Enter", "ArrowDown"].includes(event.key)) {
      event.preventDefault();
      focusList();
    }
    return;
  }
  // Arrows scroll what is read; they move in the list only.
  if (event.key.startsWith("Arrow") && byId("view").contains(focused)) return;
  const act = KEYS[event.key] ?? (/^[1-7]$/.test(event.key) ? () => chooseTab(Number(event.key)) : null);
  if (!act) return;
  event.preventDefault();
  act();
});

window.addEventListener("hashchange", () => {
  const before = routed;
  route();
  if (routed) byId("view").focus({ preventScroll: true });
  else if (before) focusList();
});

showState("connecting");
route();
listen();
