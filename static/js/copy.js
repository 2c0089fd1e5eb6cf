// Copy buttons: data-copy holds the full value that the page shows shortened.
function spoken(button, words) {
  const before = button.getAttribute("aria-label");
  button.setAttribute("aria-label", words);
  button.title = words;
  setTimeout(() => {
    button.setAttribute("aria-label", before);
    button.title = before;
    delete button.dataset.copied;
  }, 1500);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || button.dataset.copied !== undefined) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.dataset.copied = "";
    spoken(button, "Copied");
  } catch {
    // No clipboard outside HTTPS: select the text, so that one keystroke copies it.
    const code = button.parentElement.querySelector("code");
    code.textContent = button.dataset.copy;
    getSelection().selectAllChildren(code);
    spoken(button, "Selected: copy it with your keyboard");
  }
});
