// Progress as plain lines; on a terminal also one moving line with a spinner and the seconds, so that a long step never looks dead.
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const HEARTBEAT_MS = 15_000;
const seconds = (ms) => (ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);

/** `step(title, work)` runs `work(say)`; `say(text)` tells what goes on inside; what `work` returns as `found` closes the step's line. */
export function createReport(total, { stream = process.stderr, now = () => performance.now() } = {}) {
  const live = Boolean(stream.isTTY) && !process.env.CI;
  const started = now();
  let number = 0;

  const step = async (title, work) => {
    number += 1;
    const head = `[${number}/${total}] ${title}`;
    const begun = now();
    let doing = '';
    let frame = 0;
    const draw = () => {
      frame = (frame + 1) % FRAMES.length;
      const line = `${FRAMES[frame]} ${head}${doing ? `: ${doing}` : ''} (${seconds(now() - begun)})`;
      stream.write(`\r\x1b[K${line.slice(0, (stream.columns ?? 100) - 1)}`);
    };
    const say = (text) => {
      if (text === doing) return;
      doing = text;
      if (!live) stream.write(`${head}: ${text}\n`);
    };
    const timer = setInterval(
      live ? draw : () => stream.write(`${head}: still ${doing || 'at it'} (${seconds(now() - begun)})\n`),
      live ? 100 : HEARTBEAT_MS,
    );
    const close = (mark, text) => {
      clearInterval(timer);
      stream.write(`${live ? '\r\x1b[K' : ''}${mark} ${head}: ${text} (${seconds(now() - begun)})\n`);
    };
    try {
      const result = await work(say);
      close('✓', result.found);
      return result;
    } catch (error) {
      close('✗', error.message);
      throw error;
    }
  };
  return { step, elapsed: () => seconds(now() - started) };
}
