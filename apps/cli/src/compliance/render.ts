import type { Block } from './outline';

/** Markdown (GitHub Flavored Markdown). Names and reasons are other people's text: nothing of it is taken for markup. */
export const markdownOf = (blocks: readonly Block[]): string => `${blocks.map(markdownBlock).join('\n\n')}\n`;

function markdownBlock(block: Block): string {
  switch (block.is) {
    case 'heading':
      return `${'#'.repeat(block.level)} ${inMarkdown(block.text)}`;
    case 'text':
      return inMarkdown(block.text);
    case 'list':
      return block.items.map((item) => `- ${inMarkdown(item)}`).join('\n');
    case 'table':
      return [block.columns, block.columns.map(() => '---'), ...block.rows]
        .map((cells, n) => `| ${cells.map(n === 1 ? (cell) => cell : inMarkdown).join(' | ')} |`)
        .join('\n');
  }
}

/** Every character of ASCII punctuation that means something is escaped (CommonMark §2.4), and HTML is none. */
const inMarkdown = (text: string): string =>
  oneLine(text)
    .replaceAll(/[\\`*_{}[\]()#+!|~:.@-]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');

/** One file, without scripts and without anything that is fetched: its own policy forbids both. */
export const htmlOf = (title: string, blocks: readonly Block[]): string =>
  [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${inHtml(title)}</title>`,
    `<style>${style}</style></head><body>`,
    ...blocks.map(htmlBlock),
    '</body></html>',
    '',
  ].join('\n');

function htmlBlock(block: Block): string {
  switch (block.is) {
    case 'heading':
      return `<h${block.level}>${inHtml(block.text)}</h${block.level}>`;
    case 'text':
      return `<p>${inHtml(block.text)}</p>`;
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${inHtml(item)}</li>`).join('')}</ul>`;
    case 'table': {
      const row = (cells: readonly string[], tag: 'th' | 'td') =>
        `<tr>${cells.map((cell) => `<${tag}${markOf(cell)}>${inHtml(cell)}</${tag}>`).join('')}</tr>`;
      return `<table><thead>${row(block.columns, 'th')}</thead><tbody>${block.rows.map((cells) => row(cells, 'td')).join('')}</tbody></table>`;
    }
  }
}

const markOf = (cell: string): string =>
  cell === 'FAIL' || cell.endsWith(', OVERDUE') ? ' class="bad"' : cell === 'UNKNOWN' ? ' class="open"' : '';

const inHtml = (text: string): string =>
  oneLine(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');

/** No control character and no line break of somebody's; nor what turns the direction of text (Unicode UAX 9). */
const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, '\uFFFD');

const style = [
  'body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1a1a1a;background:#fff}',
  'h1,h2{border-bottom:1px solid #ccc;padding-bottom:.2rem}h3{margin-top:2rem}',
  'table{border-collapse:collapse;width:100%;font-size:13px;margin:.5rem 0}th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}',
  'th{background:#f2f2f2}.bad{background:#fbdada;font-weight:600}.open{background:#fff1c9;font-weight:600}',
  '@media print{body{margin:0;max-width:none}h3{break-after:avoid}tr{break-inside:avoid}}',
].join('');
