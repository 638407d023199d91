"""The `jobs` command: everything that was submitted from this account, on any queue, and the site files that say where."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster import command, show
from schemas.errors import RadforgeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Jobs on SLURM, LSF or this machine: what was submitted, how it stands, what it said.\n\n"
    "    train submit mvcnn --data dataset --site mysite.toml\n\n"
    "    rjobs list\n\n"
    "    rjobs logs 4711 -f\n",
)
options = command.Options(app)
sites = typer.Typer(no_args_is_help=True, add_completion=False, help="Site files: what they say, and whether it is true.")
app.add_typer(sites, name="site")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="A job as `rjobs list` shows it (12345, 12345_3 of an array), or its folder.")
]
SiteFile = Annotated[str, typer.Argument(metavar="SITE", help="A site file (.toml), or a shipped one (`rjobs site list`).")]


@app.command("list")
def list_command(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also those that ended long ago.")] = False,
    json: Json = False,
) -> None:
    """The jobs of this account, ETL workers included: state, reason, time, node, folder. Those the queue has forgotten too."""
    from cluster import registry
    from cluster.jobs import statuses, workers
    from cluster.show_jobs import listed

    known = registry.records()
    recent = known if everything else known[-50:]
    unanswered: dict[str, None] = {}
    told = statuses(recent, lambda error: unanswered.setdefault(str(error)))
    listed([*told, *workers(lambda error: unanswered.setdefault(str(error)))], json)
    for error in unanswered:
        options.reporter().warn(error)
    if len(recent) < len(known) and not json:
        options.reporter().say(f"{len(known) - len(recent)} older jobs: rjobs list --all")


@app.command("status")
def status_command(job: Id, json: Json = False) -> None:
    """One job: how it stands, what was asked for, and from what: commit, dataset version, command."""
    from cluster import registry
    from cluster.follow import of_members
    from cluster.jobs import statuses
    from cluster.show_jobs import one

    record, members = registry.find(job)
    one(record, of_members(statuses([record]), members), json)


@app.command("logs")
def logs_command(
    job: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
) -> None:
    """What a job said; and what the queue said of it, where it did."""
    from cluster import registry
    from cluster.follow import follow as follow_log
    from cluster.follow import of_members
    from cluster.jobs import log_files, queue_files, statuses
    from cluster.show_jobs import sentence

    record, members = registry.find(job)
    say = options.reporter()
    if follow:
        ended = follow_log(record, members, _write)
        for status in ended:
            say.say(sentence(status))
    else:
        files = log_files(record, members)
        for path in files:
            _write((f"==> {path.name} <==\n" if len(files) > 1 else "") + path.read_text("utf-8", "replace"))
        if not files:
            for status in of_members(statuses([record]), members):
                say.say(f"no log yet; {sentence(status)}")
    for path in queue_files(record):
        say.say(f"the queue's own words ({path}):")
        say.say(path.read_text("utf-8", "replace").rstrip()[-4000:])


@app.command("cancel")
def cancel_command(jobs: Annotated[list[str], typer.Argument(metavar="ID...", help="Jobs, or members of arrays.")]) -> None:
    """End jobs. What they wrote stays, and `rjobs rerun` goes on with it."""
    from cluster import registry
    from cluster.follow import of_members
    from cluster.jobs import cancel, statuses
    from schemas.job import OVER

    found = [registry.find(job) for job in jobs]
    for record, members in found:
        if all(status.state in OVER for status in of_members(statuses([record]), members)):
            options.reporter().warn(f"job {record.id} is over already")
            continue
        cancel(record, members)
        show.line(f"job {record.id}{''.join(f'_{member}' for member in members)} is being cancelled")


@app.command("rerun")
def rerun_command(job: Id, json: Json = False) -> None:
    """Submit exactly that again: the same script, code, recipe and data. What it had reached, it goes on from."""
    from cluster import registry
    from cluster.jobs import rerun, statuses
    from cluster.show_jobs import submitted

    record, _ = registry.find(job)
    if all(status.state == "DONE" for status in statuses([record])):
        options.reporter().warn(f"job {record.id} ended well: it may find nothing to do")
    submitted(rerun(record), json, options.reporter())


@app.command("wait")
def wait_command(
    jobs: Annotated[list[str], typer.Argument(metavar="ID...", help="Jobs, or members of arrays.")], json: Json = False
) -> None:
    """Until jobs are over. Exit 0 when all ended well, else 5: for scripts and CI."""
    from cluster import registry
    from cluster.follow import wait
    from cluster.show_jobs import listed, sentence

    say = options.reporter()
    ends = []
    for record, members in [registry.find(job) for job in jobs]:
        ends += wait(record, members, lambda status: say.say(sentence(status)))
    listed(ends, json)
    if any(status.state != "DONE" for status in ends):
        raise typer.Exit(5)


@app.command("submit", context_settings={"allow_interspersed_args": False})
def submit_command(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="Any command line; put -- before it.")],
    site: Annotated[str, typer.Option(help="A site file (.toml), or a shipped one.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="For script and log; else jobs/NAME-TIME.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="For the list; else the command's first word.")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of a node; 0 asks for the site's `cpu` resource.")] = 0,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes: the command is started once on each, or once a GPU.")] = 1,
    after: Annotated[
        list[str] | None, typer.Option(metavar="JOB", help="Begin when this job has ended well; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Print the script, and stop.")] = False,
    json: Json = False,
) -> None:
    """Any command line as a job. `train submit` and `etl run --detach` make theirs the same way."""
    from cluster.order import plain_job
    from cluster.show_jobs import hand_over
    from schemas.site import load_site

    chosen = load_site(site)
    spec = plain_job(words, chosen, out, name, gpus, nodes, after or [])
    hand_over(spec, chosen, site, dry_run, json, options.reporter())


@sites.command("list")
def site_list_command(json: Json = False) -> None:
    """The shipped site files, to copy and fill in."""
    from schemas.loading import shipped_names, shipped_text
    from schemas.site import load_site

    rows = [
        {
            "site": name,
            "kind": load_site(name).kind,
            "about": shipped_text("sites", name).splitlines()[0].removeprefix("# "),
        }
        for name in shipped_names("sites")
    ]
    show.rows(rows, json)


@sites.command("show")
def site_show_command(site: SiteFile) -> None:
    """Print a shipped site file: `rjobs site show slurm > mysite.toml`."""
    from schemas.loading import shipped_names, shipped_text

    if site not in shipped_names("sites"):
        raise RadforgeError("no such site", site, expected=", ".join(shipped_names("sites")))
    sys.stdout.write(shipped_text("sites", site))


@sites.command("check")
def site_check_command(
    site: SiteFile,
    submit: Annotated[
        bool, typer.Option("--submit", help="Also run a tiny job of each resource, and one Dask worker.")
    ] = False,
    json: Json = False,
) -> None:
    """Verify a site file: commands, queues, folders, network interface, Python. Exit 2 when something does not hold."""
    from cluster.site_check import check
    from schemas.site import load_site

    found = check(load_site(site), submit, options.reporter())
    if json:
        show.as_json([fact.__dict__ for fact in found])
    else:
        show.table(
            ["", "what", "found"],
            [["ok" if fact.holds else "NOT" if fact.holds is False else "-", fact.what, fact.found] for fact in found],
        )
    wrong = [fact for fact in found if fact.holds is False]
    if wrong:
        raise RadforgeError(f"{show.many(len(wrong), 'fact')} not as the site file says", site)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> None:
    """Entry point."""
    command.run(app, lambda: options.debug, interrupted="")
