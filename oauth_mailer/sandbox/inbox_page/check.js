// What is worth a look before a message goes to real people: warnings, sizes, links.

import { h, size, t } from "./parts.js";

const CLIPPED = 102 * 1024; // octets
const LARGE = 25 * 1024 * 1024;

export function check(message) {
  return [
    h("section", {}, h("h3", {}, t("warnings")), warnings(message)),
    h("section", {}, h("h3", {}, t("sizes")), sizes(message)),
    h("section", {}, h("h3", {}, t("links")), links(message)),
  ];
}

function warnings(message) {
  if (!message.warnings.length) return h("p", { class: "well" }, t("all_well"));
  const one = ({ code, text, hint }) =>
    h("li", { "data-code": code }, h("strong", {}, text), h("span", {}, hint));
  return h("ul", { class: "warnings", id: "warnings" }, message.warnings.map(one));
}

function sizes({ sizes: { total, html, text, attachments } }) {
  const row = (name, octets, limit, words) =>
    h(
      "div",
      {},
      h("dt", {}, t(name)),
      h(
        "dd",
        {},
        h("span", { class: "octets" }, size(octets)),
        limit && h("meter", { min: 0, max: limit, high: limit * 0.9, optimum: 0, value: Math.min(octets, limit), "aria-label": t(name) }),
        limit && h("span", { class: "soft" }, `${Math.round((octets / limit) * 100)} % ${t(words)}`),
      ),
    );
  return h(
    "dl",
    { class: "sizes" },
    row("size_total", total, LARGE, "size_total_limit"),
    row("size_html", html, CLIPPED, "size_html_limit"),
    row("size_text", text),
    row("size_attachments", attachments),
  );
}

function links(message) {
  if (!message.links.length) return h("p", { class: "soft" }, t("no_links"));
  const one = ({ href, text, problem }) =>
    h(
      "li",
      { class: problem ? "bad" : "" },
      h("span", {}, text || t("no_link_text")),
      // Only what a browser opens as a page is made a link.
      /^https?:\/\//i.test(href) && !problem
        ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, href)
        : h("code", {}, href),
      problem && h("span", { class: "problem" }, t(`link_${problem}`)),
    );
  return h("ul", { class: "links" }, message.links.map(one));
}
