// One message, and the views of it.

import { check } from "./check.js";
import { ask, byId, h, recipient, sender, size, t, time, way } from "./parts.js";

const MOST_SOURCE = 512 * 1024; // octets
const view = byId("view");
const TABS = {
  html: htmlPanel,
  phone: phonePanel,
  text: textPanel,
  headers: headersPanel,
  source: sourcePanel,
  attachments: attachmentsPanel,
  check,
};
let wanted = "html"; // what was chosen last stays chosen
let current = null;

export async function showMessage(id) {
  current = id;
  let message;
  try {
    message = await ask(`/api/messages/${encodeURIComponent(id)}`);
  } catch (error) {
    if (current === id) view.replaceChildren(h("p", { class: "notice" }, error.status === 404 ? t("gone") : t("failed", { reason: error.message })));
    return;
  }
  if (current !== id) return; // another one was asked for meanwhile
  view.replaceChildren(article(message));
  view.scrollTop = 0;
}

export function showNone(element) {
  current = null;
  view.replaceChildren(element);
}

export function chooseTab(number) {
  view.querySelectorAll("[role=tab]")[number - 1]?.click();
}

function article(message) {
  const panel = h("div", { role: "tabpanel", id: "panel", class: "panel", tabindex: 0 });
  const tabs = h("div", { role: "tablist", "aria-label": t("views"), class: "tabs", keydown: moveInTabs });
  for (const name of Object.keys(TABS)) {
    const count = { attachments: message.attachments.length, check: message.warnings.length }[name];
    tabs.append(
      h(
        "button",
        { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panel", click: () => choose(name) },
        t(`tab_${name}`),
        count > 0 && h("span", { class: name === "check" ? "badge" : "number" }, count),
      ),
    );
  }

  function choose(name, { kept = true } = {}) {
    if (kept) wanted = name;
    for (const tab of tabs.children) {
      const chosen = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    panel.className = `panel ${name}`;
    panel.replaceChildren(...[TABS[name](message)].flat().filter(Boolean));
    panel.scrollTop = 0;
  }

  choose(wanted === "html" && !message.html ? "text" : wanted, { kept: false });
  return h("article", { class: "message", "aria-labelledby": "subject" }, head(message), tabs, panel);
}

function head(message) {
  const line = (name, ...value) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, ...value));
  return h(
    "header",
    { class: "head" },
    h("a", { href: "#/", class: "back" }, `‹ ${t("back")}`),
    h(
      "div",
      { class: "head-line" },
      h("h2", { id: "subject", class: message.subject ? "" : "missing" }, message.subject || t("no_subject")),
      h("a", { href: message.raw, class: "button", download: true }, t("download_eml")),
    ),
    h(
      "dl",
      {},
      line("from", sender(message)),
      line("to", message.recipients.map(recipient)),
      line(
        "at",
        time(message.at, { full: true }),
        way(message.route),
        h("span", {}, size(message.size)),
        h("span", {}, t("logged_in", { account: message.account })),
      ),
    ),
  );
}

function moveInTabs(event) {
  const tabs = [...event.currentTarget.children];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const at = tabs.indexOf(document.activeElement);
  if (!step || at < 0) return;
  const next = tabs[(at + step + tabs.length) % tabs.length];
  next.click();
  next.focus();
  event.preventDefault();
}

// The policy of what is framed does the work; the attribute says the same once more.
function frame(url) {
  return h("iframe", { src: url, sandbox: "allow-popups allow-popups-to-escape-sandbox", title: t("frame"), referrerpolicy: "no-referrer" });
}

function remoteNotice(message, shown) {
  const count = message.html.remote.length;
  if (!count) return null;
  const load = h("button", { type: "button", id: "load-remote" }, t("remote_load"));
  const notice = h("div", { class: "notice" }, h("p", {}, t("remote", { count })), load);
  load.addEventListener("click", () => {
    shown.src = `${message.html.url}?remote=1`;
    notice.replaceChildren(h("p", { role: "status" }, t("remote_loaded")));
  });
  return notice;
}

function htmlPanel(message) {
  if (!message.html) return h("p", { class: "notice" }, t("no_html"));
  const shown = frame(message.html.url);
  return [remoteNotice(message, shown), shown];
}

function phonePanel(message) {
  const name = sender(message).replace(/\s*<[^<>]*>$/, "").replace(/^"(.*)"$/, "$1") || message.sender;
  const shown = message.html ? frame(message.html.url) : h("pre", {}, message.text ?? "");
  const inList = h(
    "div",
    { class: "phone-row" },
    h("span", { class: "face", "aria-hidden": "true" }, [...name][0] ?? "?"),
    h("strong", {}, name),
    time(message.at),
    h("span", { class: "phone-subject" }, message.subject || t("no_subject")),
    h("span", { class: "phone-preview", id: "preview" }, message.preview),
  );
  return [
    message.html && remoteNotice(message, shown),
    h(
      "div",
      { class: "phones" },
      h("figure", {}, h("figcaption", {}, t("phone_list")), inList),
      h("figure", {}, h("figcaption", {}, t("phone_open")), h("div", { class: "device" }, shown)),
    ),
  ];
}

function textPanel(message) {
  if (message.text === null) return h("p", { class: "notice" }, t("no_text"));
  return [message.text_cut && h("p", { class: "notice" }, t("text_cut")), h("pre", { id: "text" }, message.text)];
}

function headersPanel(message) {
  const row = ({ name, value }) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value));
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("name")), h("th", { scope: "col" }, t("value")))),
    h("tbody", {}, message.headers.map(row)),
  );
}

function sourcePanel(message) {
  const shown = h("pre", { id: "source" }, t("loading"));
  const cut = h("p", { class: "notice", hidden: true }, t("text_cut"));
  readSource(message.raw).then(
    ([text, all]) => {
      shown.textContent = text;
      cut.hidden = all;
    },
    (error) => {
      shown.textContent = t("failed", { reason: error.message });
    },
  );
  return [cut, shown];
}

async function readSource(url) {
  const reader = (await fetch(url)).body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let octets = 0; octets < MOST_SOURCE; ) {
    const { done, value } = await reader.read();
    if (done) return [text + decoder.decode(), true];
    octets += value.length;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return [text.slice(0, MOST_SOURCE), false];
}

function attachmentsPanel(message) {
  if (!message.attachments.length) return h("p", { class: "notice" }, t("no_attachments"));
  const one = ({ name, saved_as, media_type, size: octets, inline, url }) =>
    h(
      "li",
      {},
      h("span", { class: "file-name" }, name),
      h("span", { class: "soft" }, media_type, ` · ${size(octets)}`, inline && ` · ${t("inline")}`),
      h("a", { href: url, download: saved_as, class: "button", "aria-label": `${t("download")} ${name}` }, t("download")),
    );
  return h("ul", { class: "files" }, message.attachments.map(one));
}
