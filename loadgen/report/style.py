"""The page's style sheet: light, dark and paper, from the width of a phone to that of a desk."""

from typing import Final

CSS: Final = """\
.lg{--ink:#1a1a1a;--paper:#fff;--line:#d0d0d0;--soft:#f3f4f6;--quiet:#555;--bad:#b00020;--good:#1c6b2c;
--c0:#0060a8;--c1:#b34700;--c2:#2a7a2a;--c3:#8a2d8a;--c4:#7a5a00;--c5:#444;
color:var(--ink);background:var(--paper);font:15px/1.45 system-ui,sans-serif}
@media screen and (prefers-color-scheme:dark){
.lg{--ink:#e6e6e6;--paper:#16181b;--line:#3a3d42;--soft:#202327;--quiet:#aaa;--bad:#ff7b86;--good:#7ed07e;
--c0:#6cb6ff;--c1:#ff9e5e;--c2:#7ed07e;--c3:#e08ae0;--c4:#e0c060;--c5:#bbb}}
.lg h1{font-size:1.5em;line-height:1.25;margin:.1em 0 .4em}
.lg h2{font-size:1em;margin:1.3em 0 .3em}
.lg p{margin:.3em 0}
.lg .quiet{color:var(--quiet)}
.lg table{border-collapse:collapse}
.lg td,.lg th{padding:.1em .9em .1em 0;text-align:left;border-bottom:1px solid var(--line);
background:none;color:inherit;overflow-wrap:break-word;vertical-align:top}
.lg td.in{padding-left:1em}
.lg td.n,.lg th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.lg .bad{color:var(--bad);font-weight:bold}
.lg .good{color:var(--good);font-weight:bold}
.lg code,.lg pre{overflow-wrap:anywhere;white-space:pre-wrap;font-size:.92em}
.lg a{color:var(--c0)}
.lg figure{margin:0}
.lg svg.chart{width:100%;height:auto;display:block;margin:.3em 0}
.lg svg.chart text{fill:var(--ink);font-family:system-ui,sans-serif}
.lg ul{list-style:none;padding:0;margin:.2em 0}
.lg ul.plain{list-style:disc;padding-left:1.2em}
.lg ul.keys li{padding-left:40px;text-indent:-40px}
.lg svg.key{width:32px;height:12px;margin-right:.5em;vertical-align:-1px}
"""
PAGE: Final = """\
html,body{margin:0}body.lg{padding:.7em 1em;max-width:76em;margin:auto}
@media screen and (prefers-color-scheme:dark){html{background:#16181b}}
.ask{font-size:1.05em}
.answer{font-size:1.1em}
.targets{display:flex;flex-wrap:wrap;gap:.5em;margin:.6em 0}
.targets span{border:1px solid var(--line);background:var(--soft);border-radius:4px;padding:.15em .7em}
.first{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:0 2.2em}
.charts{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:0 2.2em}
.charts>section,.first>div{min-width:0}
.many,.nstat{columns:27em;column-gap:2.2em}
.many li{overflow-wrap:anywhere;padding-left:1em;text-indent:-1em}
.plan{width:100%;margin:.4em 0 .8em}
.plan>tbody>tr>td{white-space:nowrap}.plan>tbody>tr>td.wide{white-space:normal}
.small{font-size:.92em}
details{margin:.4em 0}
summary{cursor:pointer}
.cells{overflow-x:auto}
@media screen and (max-width:800px){.first,.charts{grid-template-columns:minmax(0,1fr)}
body.lg{padding:.8em}.lg h1{font-size:1.25em}}
@media screen and (max-width:520px){.lg svg.chart text{font-size:17px!important}
.lg td.n,.plan>tbody>tr>td{white-space:normal}}
@page{size:A4;margin:9mm}
@media print{body.lg{--ink:#000;--paper:#fff;--soft:#fff;padding:0;max-width:none}
body.lg{font-size:7.2pt;line-height:1.25}
.lg h1{font-size:12pt}.lg h2{margin:.7em 0 .2em;break-after:avoid}tr,figure,section.chart{break-inside:avoid}
.lg svg.chart{max-height:42mm}.charts{grid-template-columns:1fr 1fr 1fr;gap:0 5mm}
.lg svg.key{width:20px;height:7px}
.lg svg.chart text{font-size:15px!important}.many{columns:3;column-gap:5mm}
.nstat{columns:2;font-size:6pt!important}
.screen,details{display:none}
.lg td,.lg th{padding:0 .6em 0 0;overflow-wrap:anywhere}.cells{overflow:visible}.targets{margin:.2em 0}}
"""
