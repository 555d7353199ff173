// What all of the page is made of: elements, texts, numbers and requests. A text is only ever set as text.

export const told = JSON.parse(document.getElementById("data").textContent);

export function t(name, values = {}) {
  return told.texts[name].replace(/\{(\w+)\}/g, (place, key) => values[key] ?? place);
}

export function byId(id) {
  return document.getElementById(id);
}

// An element. Properties that are functions are listeners; `data-`, `aria-` and the like are attributes.
export function h(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

export function unseen(text) {
  return h("span", { class: "unseen" }, text);
}

// Said to who cannot see it.
export function say(text) {
  byId("said").textContent = text;
}

export async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.status === 204) return null;
  const value = await answer.json();
  if (!answer.ok) {
    const { message, hint } = value.error;
    throw Object.assign(new Error(hint ? `${message} ${hint}` : message), { status: answer.status });
  }
  return value;
}

const language = told.language;
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const stopwatch = new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

export function time(at, { full = false, seconds = false } = {}) {
  const moment = new Date(at);
  const today = moment.toDateString() === new Date().toDateString();
  const short = seconds ? stopwatch : clock;
  const text = full ? exact.format(moment) : (today ? short : day).format(moment);
  return h("time", { datetime: at, title: exact.format(moment) }, text);
}

export function size(octets) {
  if (octets < 1000) return `${whole.format(octets)} B`;
  if (octets < 1000 * 1024) return `${tenths.format(octets / 1024)} KB`;
  return `${tenths.format(octets / 1024 / 1024)} MB`;
}

export function way(route) {
  return h("span", { class: `way ${route}` }, route === "smtp" ? "SMTP" : "Gmail");
}

export function recipient({ address, bcc }) {
  return h("span", { class: "recipient" }, address, bcc && h("span", { class: "bcc" }, t("bcc")));
}

export function sender(message) {
  return message.from || message.sender || t("no_sender");
}
