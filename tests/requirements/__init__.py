"""The RFCs, requirement by requirement, and what each profile does: docs/conformance.md is printed from here.

`requirements.toml` lists the requirements, and says of those out of scope why they are. A dialogue says which
of them it shows (``@requirement``) and where a profile deviates (`verdicts.deviates`). It then runs under
every profile. Where it "holds" it must pass. Where it "deviates" it must fail, and pass as soon as the knobs
named for it are turned: so the knob is known to be the reason, and no deviation outlives its cause. A
deviation that no knob reaches names what it expects instead.
"""
