// The colours of the pictures, as the style sheet has them for the light or dark that the reader prefers.

const NAMES = ["paper", "ink", "quiet", "rule", "event", "wait", "fault", "band"];

/** What they are now; kept up to date. */
export const palette = {};

/** Called when they changed. */
export function watchPalette(onchange) {
  const read = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of NAMES) palette[name] = style.getPropertyValue(`--${name}`).trim();
    palette.font = style.getPropertyValue("font-family");
    onchange();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", read);
  read();
}

/** The drawing context of a canvas, cleared, in units of CSS pixels. */
export function clear(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
