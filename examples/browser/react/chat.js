// A chat, written without JSX so that it needs no build step.

import { createElement as h } from "react";
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { useFourcast } from "./useFourcast.js";

// Anybody may publish anything to a channel.
const textOf = ({ value, data }) => String(value?.text ?? data);

function Chat() {
  const { events, isOpen, isGap, fourcast } = useFourcast("/chat", { last: 20 });
  const [failure, setFailure] = useState("");
  const send = async (submit) => {
    submit.preventDefault();
    const input = submit.target.text;
    const text = input.value;
    submit.target.reset();
    try {
      await fourcast.publish({ text });
      setFailure("");
    } catch (error) {
      input.value ||= text;
      setFailure(`Not sent: ${error.message}`);
    }
  };
  return h(
    "main",
    null,
    h("p", null, "Connection: ", h("output", { id: "state" }, isOpen ? fourcast.transport : "connecting")),
    isGap && h("p", null, "Some messages are gone."),
    h(
      "ul",
      { id: "messages", "aria-live": "polite" },
      events.map((event) => h("li", { key: event.id }, textOf(event))),
    ),
    h(
      "form",
      { onSubmit: send },
      h("input", { name: "text", "aria-label": "Message", autoComplete: "off", required: true }),
      h("button", null, "Send"),
    ),
    h("p", { role: "alert" }, failure),
  );
}

createRoot(document.querySelector("#root")).render(h(Chat));
