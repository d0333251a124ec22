{{#if apt}}
{{apt}}
{{/if}}
{{#if pip}}
{{pip}}
{{/if}}
{{#each env}}
ENV {{this}}
{{/each}}
{{#if workdir}}
WORKDIR {{workdir}}
{{/if}}
{{#each steps}}
{{this}}
{{/each}}
COPY vdeploy-context/vdeploy-runtime /usr/local/bin/vdeploy-runtime
LABEL{{#each labels}} {{this}}{{/each}}
USER 65532:65532
{{#if entrypoint}}
ENTRYPOINT {{entrypoint}}
{{else}}
ENTRYPOINT []
{{/if}}
CMD ["/usr/local/bin/vdeploy-runtime"]
