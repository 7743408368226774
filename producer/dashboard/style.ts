export const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d9dee5, #333b47); --quiet: light-dark(#5c6673, #97a1ae);
  --good: light-dark(#11703c, #5fce8f); --bad: light-dark(#b3261e, #ff8a80); --busy: light-dark(#1b5fb4, #86b8f5); }
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: light-dark(#f7f8fa, #14181f); color: light-dark(#1c232c, #e7ebf0) }
header { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; justify-content: space-between; padding: .8rem 1.5rem;
  border-bottom: 1px solid var(--line); background: light-dark(#fff, #1a2029) }
nav { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: center }
a { color: var(--busy) } .brand { font-weight: 650; font-size: 1.15rem; color: inherit; text-decoration: none }
main { max-width: 84rem; margin: 0 auto; padding: 1.5rem }
h1 { font-size: 1.3rem; margin: 0 0 1rem } .quiet { color: var(--quiet) } .narrow { max-width: 24rem; margin: 10vh auto 0 }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: light-dark(#fff, #1a2029) }
table { width: 100%; border-collapse: collapse } th, td { padding: .55rem .9rem; text-align: left; white-space: nowrap }
th { font-weight: 600; font-size: .82rem; color: var(--quiet) } tbody tr { border-top: 1px solid var(--line) }
td.number { text-align: right; font-variant-numeric: tabular-nums } td.notes, .problem { white-space: normal; min-width: 10rem } td { vertical-align: top }
.problem { max-width: 24rem; font-size: .85rem; color: var(--quiet); overflow-wrap: anywhere }
code { font-size: .82rem; color: var(--quiet) }
.SUCCESS { color: var(--good) } .FAILURE, .PARTIAL { color: var(--bad) } .CANCELLED { color: var(--quiet) } .RUNNING, .SEALING, .QUEUED { color: var(--busy) }
.error { color: var(--bad) } progress { width: 7rem; vertical-align: middle }
label { display: block; font-weight: 600; margin-bottom: .3rem }
input, button { font: inherit; padding: .45rem .7rem; border: 1px solid var(--line); border-radius: 6px; background: transparent; color: inherit }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem } details { border-top: 1px solid var(--line); padding: .45rem 0 } summary { cursor: pointer }
pre { padding: .7rem .9rem; border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; font-size: .82rem }
input { width: 100%; margin-bottom: .8rem } button { cursor: pointer }
`
