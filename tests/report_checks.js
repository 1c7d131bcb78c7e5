// What test_report_page.py asks of a page. Both give texts that say what is wrong, and where.

function stickingOut() {
  const wide = e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0;
  return [...document.querySelectorAll("body *")].filter(e => {
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    if (e.closest("thead") && getComputedStyle(e.closest("thead")).clipPath !== "none") return false;
    if (style.clipPath !== "none") return false;
    if (box.right > innerWidth + 1 || box.left < -1) return true;
    return !e.closest("svg") && style.display !== "inline" && wide(e);
  }).map(e => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 60)}`);
}

// WCAG 2.1, success criterion 1.4.3: 4.5 : 1 for text of normal size.
function lowContrast() {
  const channel = x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const rgba = text => text.match(/[\d.]+/g).map(Number);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = e => {
    const style = getComputedStyle(e);
    const ink = light(rgba(e.closest("svg") ? style.fill : style.color)), paper = light(ground(e));
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  };
  const hasText = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll("body *:not(svg > title):not(desc)")]
    .filter(e => hasText(e) && ratio(e) < 4.5)
    .map(e => `${e.tagName} ${e.textContent.trim().slice(0, 40)}: ${ratio(e).toFixed(2)}`);
}
