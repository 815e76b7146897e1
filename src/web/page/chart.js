// Two small charts of a lane's last minute, a column for each second.

import { clear, palette } from "./palette.js";
import { percentile } from "./tally.js";
import { bytes } from "./units.js";

/** The delays at the bottom and the top, in milliseconds; between them the scale is logarithmic. */
const LEAST = 1;
const MOST = 10_000;
/** Room for the words at the left. */
const LEFT = 34;

/** Each second's middle delay as a dot, and a line up to its longest. */
export function drawDelays(canvas, tally) {
  const { context, width, height } = clear(canvas);
  const y = (delay) => {
    const share = Math.log(clamp(delay) / LEAST) / Math.log(MOST / LEAST);
    return height - 5 - share * (height - 10);
  };
  for (const [delay, name] of [[1, "1 ms"], [100, "0.1 s"], [10_000, "10 s"]]) {
    rule(context, name, y(delay), width);
  }
  context.strokeStyle = context.fillStyle = palette.event;
  context.lineWidth = 1;
  columns(tally, width, ({ delays }, x) => {
    if (delays.length === 0) return;
    const middle = y(percentile(delays, 0.5));
    line(context, x, middle, x, y(Math.max(...delays)));
    context.fillRect(x - 1, middle - 1, 2.5, 2.5);
  });
}

/** Each second's bytes: to the browser above the middle, to the server below. `most` is the same for all lanes. */
export function drawBytes(canvas, tally, most) {
  const { context, width, height } = clear(canvas);
  const middle = Math.round(height / 2);
  const scale = (height / 2 - 2) / most;
  rule(context, bytes(most), 5, width);
  rule(context, "0", middle, width);
  rule(context, bytes(most), height - 5, width);
  columns(tally, width, ({ sent, received }, x, wide) => {
    context.fillStyle = palette.event;
    context.fillRect(x - wide / 2, middle, wide, -sent * scale);
    context.fillStyle = palette.ink;
    context.fillRect(x - wide / 2, middle, wide, received * scale);
  });
}

function columns(tally, width, draw) {
  const step = (width - LEFT - 4) / tally.seconds.length;
  tally.seconds.forEach((second, index) => draw(second, LEFT + 4 + (index + 0.5) * step, Math.max(1, step - 1)));
}

function rule(context, name, y, width) {
  Object.assign(context, { font: `10px ${palette.font}`, textAlign: "right", textBaseline: "middle" });
  context.fillStyle = palette.quiet;
  context.fillText(name, LEFT - 2, y);
  Object.assign(context, { strokeStyle: palette.rule, lineWidth: 1 });
  line(context, LEFT + 2, y, width, y);
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function clamp(delay) {
  return Math.min(MOST, Math.max(LEAST, delay));
}
