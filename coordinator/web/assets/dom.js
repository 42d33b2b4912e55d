// Makes elements. Whatever comes from the server goes in as text: there is no
// way through here for it to become markup.

// el("a", {href: "#/", class: "x"}, "text", child, ...). Attributes that are
// null or false are left out; `on...` are listeners.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else {
      attr(element, name, value);
    }
  }
  element.append(...children.flat().filter(
      (child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// Sets an attribute, or takes it away; touches nothing that is so already.
export function attr(element, name, value) {
  if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

// Sets the text of an element if it is another.
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

// Makes the children of `parent` those of `items`, in order, keeping what is
// there by key, so that focus and selection survive. make(item) -> element;
// update(element, item).
export function keyed(parent, items, key, make, update) {
  const known = new Map();
  for (const child of parent.children) known.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let child = known.get(name);
    if (child) {
      known.delete(name);
    } else {
      child = make(item);
      child.dataset.key = name;
    }
    update(child, item);
    if (child === place) {
      place = place.nextElementSibling;
    } else {
      parent.insertBefore(child, place);
    }
  }
  for (const gone of known.values()) gone.remove();
}

// A table that scrolls inside itself where the window is narrow.
// headers: [{text, number: right-aligned}].
export function table(caption, headers, body) {
  return el("div", {class: "scroll", tabindex: "0", role: "region",
                    "aria-label": caption},
      el("table", {},
          el("caption", {class: "unseen"}, caption),
          el("thead", {}, el("tr", {}, headers.map((header) =>
              el("th", {scope: "col", class: header.number ? "number" : null},
                  header.text)))),
          body));
}

export function section(title, id, ...children) {
  return el("section", {"aria-labelledby": id, class: "block"},
      el("h2", {id}, title), ...children);
}
