{{#if apt}}
RUN {{apt}}
{{/if}}
{{#if pip}}
RUN {{pip}}
{{/if}}
{{#each env}}
ENV {{this}}
{{/each}}
{{#if workdir}}
WORKDIR {{workdir}}
{{/if}}
{{#each copy}}
COPY {{this}}
{{/each}}
{{#each run}}
RUN {{this}}
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
