// A chat, written without JSX so that it needs no build step.

import { createElement as h } from "react";
import { createRoot } from "react-dom/client";
import { useFourcast } from "./useFourcast.js";

function Chat() {
  const { events, isOpen, fourcast } = useFourcast("/chat", { last: 20 });
  const send = (submit) => {
    submit.preventDefault();
    fourcast.publish({ text: submit.target.text.value });
    submit.target.reset();
  };
  return h(
    "main",
    null,
    h("p", null, "Connection: ", h("output", { id: "state" }, isOpen ? fourcast.transport : "connecting")),
    h(
      "ul",
      { id: "messages", "aria-live": "polite" },
      events.map(({ id, value }) => h("li", { key: id }, value.text ?? value)),
    ),
    h(
      "form",
      { onSubmit: send },
      h("input", { name: "text", "aria-label": "Message", autoComplete: "off", required: true }),
      h("button", null, "Send"),
    ),
  );
}

createRoot(document.querySelector("#root")).render(h(Chat));
