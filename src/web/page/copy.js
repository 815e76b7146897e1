// Buttons that copy, and what they do where the clipboard is not to be had, as on a page without TLS.

/** Milliseconds for which a button says what it did. */
const WHILE = 1500;

/** Has a button copy what `code` says, or the page's own address; `news` announces it, since the button has a label. */
export function wireCopy(button, code, news) {
  const name = button.textContent;
  button.addEventListener("click", async () => {
    const isCopied = await copy(code?.textContent ?? location.href);
    const { said, announced } = isCopied ? { said: "Copied", announced: "Copied." } : instead(code);
    news.tell(announced);
    button.textContent = said;
    setTimeout(() => (button.textContent = name), WHILE);
  });
}

function instead(code) {
  if (code === undefined) return { said: "In the address bar", announced: "The link is in the address bar." };
  getSelection().selectAllChildren(code);
  return { said: "Selected", announced: "Selected, to be copied." };
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
