FROM {{base}}
{{> trust}}
{{> finish}}
