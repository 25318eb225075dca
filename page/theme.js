// Light and dark: as the system says, or as chosen here.

import { byId } from "./dom.js";

const KEY = "ecgpu-theme";

/** Offers the choice in the `<select>` of id `theme`, and keeps it. */
export function offerThemes() {
  const select = byId("theme");
  const apply = () => {
    document.documentElement.dataset.theme = select.value;
  };
  // Storage is refused in private windows and in frames of other sites.
  try {
    select.value = localStorage.getItem(KEY) ?? "auto";
  } catch {}
  apply();
  select.addEventListener("change", () => {
    apply();
    try {
      localStorage.setItem(KEY, select.value);
    } catch {}
  });
}
