// @ts-check
/** Building the page. Text is only ever put in as text: nothing here takes HTML. */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element with attributes and children. `on...` attributes are listeners; booleans switch
 * attributes on and off; `class` is the class name.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Child | Child[] | (Child | Child[])[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  put(element, ...children);
  return element;
}

/**
 * Appends children.
 * @param {Node} parent
 * @param {...(Child | Child[] | (Child | Child[])[])} children
 */
export function put(parent, ...children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * Replaces everything inside an element.
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  put(parent, ...children);
}

/**
 * Makes an element what a fresh one is, and touches no more of it than differs: a button that is being pressed stays the
 * same button, and what has the focus keeps it. What stays keeps its own listeners, so those of the fresh one must mean
 * the same.
 * @param {Element} old
 * @param {Element} fresh
 */
export function renew(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const nodes = [...fresh.childNodes];
  nodes.forEach((node, i) => {
    const own = old.childNodes[i];
    if (!own) old.append(node);
    else if (own.nodeName !== node.nodeName) own.replaceWith(node);
    else if (own instanceof Element && node instanceof Element) renew(own, node);
    else if (own.nodeValue !== node.nodeValue) own.nodeValue = node.nodeValue;
  });
  while (old.childNodes.length > nodes.length) old.lastChild?.remove();
}

/**
 * Sets text only when it differs, so that live values do not disturb a selection or a reader.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * An error of the API where it happened: title, detail and what is wrong with which value.
 * @param {any} error
 * @param {(() => void)} [again] what "Try again" does
 */
export function problemBox(error, again) {
  const errors = Array.isArray(error?.errors) ? error.errors : [];
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("strong", {}, error?.title ?? "Something went wrong"),
    error?.detail && error.detail !== error.title ? h("span", {}, error.detail) : null,
    errors.length
      ? h("ul", {}, errors.slice(0, 8).map((/** @type {any} */ e) => h("li", {}, e.pointer ? h("code", {}, e.pointer) : null, e.pointer ? " " : "", e.detail)))
      : null,
    again ? h("div", { class: "row" }, h("button", { class: "small", type: "button", onclick: again }, "Try again")) : null,
  );
}

/**
 * Asks before something is done.
 * @param {string} question
 * @param {string} detail
 * @param {string} yes
 * @returns {Promise<boolean>}
 */
export function confirmed(question, detail, yes) {
  return new Promise((resolve) => {
    const title = h("h2", { id: "confirm-title" }, question);
    const dialog = h(
      "dialog",
      { "aria-labelledby": "confirm-title" },
      title,
      h("p", {}, detail),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "button", class: "primary", onclick: () => dialog.close("yes") }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
