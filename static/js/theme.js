// Sets the remembered theme before the first paint; it is a plain script in <head>, so nothing flashes.
"use strict";

document.documentElement.dataset.script = "on";

(() => {
  let remembered = null;
  try {
    remembered = localStorage.getItem("arm-theme");
  } catch (refused) {
    console.info("This browser keeps no theme for this site:", refused.message);
  }
  if (remembered === "light" || remembered === "dark") document.documentElement.dataset.theme = remembered;
})();
