// What every page does with a script. Each module works alone; every page works without any of them.
import "./switch.js";
import "./copy.js";
import "./times.js";
import "./menus.js";
import "./freshness.js";
import "./palette.js";
import "./keyboard.js";
