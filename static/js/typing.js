// Whether a key press belongs to a field: then no shortcut may take it.
export function typing(target) {
  const field = target.closest?.("input, textarea, select, [contenteditable]");
  return Boolean(field) && !field.matches("[type=checkbox], [type=radio]");
}
