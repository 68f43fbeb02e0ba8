import { colors } from './drawing.ts'

/** How the report looks. */
export const pageStyle = `
:root { color-scheme: light; }
* { box-sizing: border-box; }
body {
  margin: 0; padding: 3rem 1.25rem; background: #f4f6f8; color: ${colors.ink};
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif;
}
main, footer { max-width: 940px; margin: 0 auto; }
header { margin-bottom: 2rem; }
h1 { margin: 0 0 .6rem; font: 700 2.6rem/1.15 Georgia, 'Times New Roman', 'DejaVu Serif', serif; letter-spacing: -.01em; }
h2 { margin: 0 0 .8rem; font-size: 1.05rem; }
.lead { margin: 0; max-width: 44rem; font-size: 1.15rem; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1rem; margin: 0 0 1rem; }
.figures div, figure, section > table { background: #fff; border: 1px solid ${colors.line}; border-radius: 8px; }
.figures div { display: flex; flex-direction: column-reverse; padding: .9rem 1.1rem; }
.figures dt { color: ${colors.muted}; font-size: .88rem; }
.figures dd { margin: 0; font-size: 1.7rem; font-weight: 650; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1rem; padding: 1.2rem 1.4rem; }
figure svg { display: block; max-width: 100%; height: auto; }
figcaption, .note { margin-top: .7rem; color: ${colors.muted}; font-size: .88rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
section > h2 { margin-top: 1.5rem; }
table { width: 100%; border-collapse: separate; border-spacing: 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem 1.1rem; text-align: right; border-top: 1px solid ${colors.line}; }
thead th { border-top: 0; color: ${colors.muted}; font-weight: 600; }
th:first-child { text-align: left; }
tbody th { font-weight: 600; }
footer { margin-top: 2.5rem; padding-top: 1.2rem; border-top: 1px solid ${colors.line}; font-size: .88rem; }
footer dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: 0; }
footer dt { color: ${colors.muted}; }
footer dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
@media (max-width: 720px) {
  .figures { grid-template-columns: 1fr 1fr; }
  .pair { grid-template-columns: 1fr; gap: 0; }
  th, td { padding: .38rem .5rem; }
}
@media print { body { background: #fff; padding: 0; } figure, table { break-inside: avoid; } }
`
