// Faults: what becomes of the next attempts, and what became of the last ones.

import { ask, byId, h, t, time, told } from "./parts.js";

const MOST_LOGGED = 100;
const OK = "ok";
const editors = {};
let touched = false; // what a person has changed is not overwritten by what happens meanwhile

// The plan of one server: steps in turn, and whether all is well after them or the last one goes on.
function editor(server) {
  const steps = told.steps[server];
  let plan = [];
  let well = true;
  const shown = h("ol", { class: "plan" });
  const picker = h(
    "select",
    { id: `step-${server}` },
    Object.entries(steps)
      .sort(([step], [other]) => (step === OK) - (other === OK)) // what is wanted seldom is the last
      .map(([step, text]) => h("option", { value: step }, `${step} — ${text}`)),
  );
  const meaning = h("p", { class: "soft meaning" });
  const ending = h(
    "select",
    { class: "ending", "aria-label": t(server), change: () => ((well = ending.value === OK), change()) },
    h("option", { value: OK }, t("then_ok")),
    h("option", { value: "" }, t("then_on")),
  );

  function show() {
    shown.replaceChildren(
      ...(plan.length ? plan.map(chip) : [h("li", { class: "fine" }, t("all_attempts_well"))]),
      ...(plan.length ? [h("li", { class: "ending" }, ending)] : []),
    );
    ending.value = well ? OK : "";
    meaning.textContent = steps[picker.value];
  }

  function chip(step, at) {
    const remove = () => {
      plan.splice(at, 1);
      change();
      picker.focus();
    };
    return h(
      "li",
      { class: step === OK ? "chip fine" : "chip", title: steps[step] },
      h("code", {}, step),
      h("button", { type: "button", "aria-label": t("remove", { step }), click: remove }, "×"),
    );
  }

  function change() {
    touched = true;
    tell(t("unapplied"), { pending: true });
    show();
  }

  const add = () => {
    plan.push(picker.value);
    change();
  };
  picker.addEventListener("change", show);
  byId("plans").append(
    h(
      "fieldset",
      { id: `plan-${server}` },
      h("legend", {}, t(server)),
      shown,
      h("label", { for: `step-${server}` }, t("step")),
      h("div", { class: "picking" }, picker, h("button", { type: "button", click: add }, t("add"))),
      meaning,
    ),
  );
  return {
    set(text) {
      plan = text.split(",");
      well = plan.at(-1) === OK;
      if (well) plan.pop();
      show();
    },
    get text() {
      return [...plan, ...(well || !plan.length ? [OK] : [])].join(",");
    },
  };
}

export function setPlans(plans) {
  if (!touched) for (const [server, text] of Object.entries(plans)) editors[server].set(text);
  const on = Object.values(plans).filter((text) => text !== OK).length;
  byId("faults-on").textContent = t("faults_on", { count: on });
  byId("faults-on").hidden = !on;
}

export function setLog(events) {
  byId("log").replaceChildren(...(events.length ? events.map(line) : [h("li", { class: "soft" }, t("log_empty"))]));
}

export function addToLog(event) {
  const log = byId("log");
  log.querySelector("li.soft")?.remove();
  log.prepend(line(event));
  while (log.children.length > MOST_LOGGED) log.lastElementChild.remove();
}

function line({ server, what, accepted, text, step, account, at }) {
  const answers = server === "smtp" || server === "gmail"; // what the others say is no answer
  return h(
    "li",
    { class: accepted ? "" : "refused" },
    time(at, { seconds: true }),
    h("strong", {}, server === what ? what : `${server} ${what}`),
    h("span", { class: "verdict" }, t(accepted ? "accepted" : "refused")),
    step && h("code", {}, step),
    h("span", { class: "soft" }, [account, text || (answers && t("no_answer"))].filter(Boolean).join(" · ")),
  );
}

function tell(text, { pending = false } = {}) {
  byId("faults-told").textContent = text;
  byId("faults-told").classList.toggle("pending", pending);
}

async function apply(plans, said) {
  try {
    touched = false;
    setPlans((await ask("/api/plan", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(plans) })).plans);
    tell(said);
  } catch (error) {
    touched = true;
    tell(t("failed", { reason: error.message }), { pending: true });
  }
}

for (const server of ["smtp", "gmail", "token"]) editors[server] = editor(server);
byId("apply").addEventListener("click", () =>
  apply(Object.fromEntries(Object.entries(editors).map(([server, one]) => [server, one.text])), t("applied")),
);
byId("mend").addEventListener("click", () => apply({ smtp: OK, gmail: OK, token: OK }, t("all_attempts_well")));
byId("faults").addEventListener("close", () => {
  touched = false;
  tell("");
  ask("/api/plan").then(({ plans }) => setPlans(plans), () => {}); // shown again when it is opened
});
