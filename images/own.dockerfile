{{own}}
USER 0
{{> trust}}
{{> finish}}
