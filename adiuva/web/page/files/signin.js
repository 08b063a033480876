// Sign in, or register: one form, two buttons, so that a password manager understands it.

import { session } from "./api.js";
import { alertBox, element, field } from "./dom.js";

export const heading = "Sign in";

export async function show(content, _signal, wanted) {
  content.append(element("div", { class: "narrow" }, form(wanted)));
}

export function form(wanted) {
  let registers = false;
  const email = field(
    "E-mail",
    element("input", { type: "email", name: "email", autocomplete: "username", required: true, spellcheck: "false" }),
  );
  const password = field(
    "Password",
    element("input", { type: "password", name: "password", autocomplete: "current-password", required: true }),
  );
  const faults = element("div");
  const submit = element("button", { type: "submit" }, "Sign in");
  const change = element("button", { type: "button", class: "link", onclick: turn }, "");
  const lead = element("p", { class: "soft" });
  const box = element(
    "form",
    { class: "card stack", novalidate: true, "aria-label": "Sign in", onsubmit: send },
    lead,
    email.box,
    password.box,
    faults,
    element("div", { class: "row" }, submit, change),
  );

  function turn() {
    registers = !registers;
    say();
    email.control.focus();
  }

  function say() {
    lead.textContent = registers
      ? "A new account on this server. Passwords have 8 characters or more."
      : "With your account on this server.";
    submit.textContent = registers ? "Create account" : "Sign in";
    change.textContent = registers ? "I have an account" : "Create an account";
    password.control.autocomplete = registers ? "new-password" : "current-password";
    box.setAttribute("aria-label", registers ? "Create an account" : "Sign in");
    complain([]);
  }

  function complain(errors, message = "") {
    for (const [name, each] of Object.entries({ email, password })) {
      const found = errors.filter((error) => error.field === name);
      each.complain(found.map((error) => `It ${error.message}.`).join(" "));
    }
    faults.replaceChildren(...(message ? [alertBox(message)] : []));
    if (errors.length) ({ email, password })[errors[0].field]?.control.focus();
  }

  async function send(event) {
    event.preventDefault();
    complain([]);
    const empty = Object.entries({ email, password }).filter(([, each]) => !each.control.value);
    if (empty.length) return complain(empty.map(([name]) => ({ field: name, message: "is missing" })));
    submit.disabled = true;
    try {
      await session.signIn(registers ? "/auth/register" : "/auth/login", email.control.value, password.control.value);
      const target = ["#/", "#/signin"].includes(wanted) ? "#/chat" : wanted;
      history.replaceState(null, "", target);
      dispatchEvent(new Event("hashchange"));
    } catch (error) {
      complain(error.errors ?? [], error.errors?.length ? "" : error.message);
    } finally {
      submit.disabled = false;
    }
    return undefined;
  }

  say();
  return box;
}
