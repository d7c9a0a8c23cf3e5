"""An Airflow DAG for a monthly job: copy into the DAGs folder and set the two paths.

A failed run is tried again where that may help (a source that does not answer, a job that is busy); faults in
the data, infeasible targets and a failed check wait for a person: the task fails at once.
"""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

from airflow.decorators import dag, task
from airflow.exceptions import AirflowException, AirflowFailException

OPTIMIZE = "/opt/optimize/.venv/bin/optimize"
JOB = "/srv/optimize/job.toml"
# exit codes after which another try may go better: internal error, no plan in time, busy, disk, source
TRY_AGAIN = {1, 4, 6, 7, 8}


@dag(
    schedule="17 2 1 * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 6, "retry_delay": timedelta(hours=12)},
    tags=["optimize"],
)
def optimize_monthly() -> None:
    @task
    def plan() -> None:
        done = subprocess.run([OPTIMIZE, "monthly", JOB, "--if-due", "--verbose"], check=False)
        if done.returncode in TRY_AGAIN:
            raise AirflowException(f"optimize monthly ended with {done.returncode}; it is tried again")
        if done.returncode:
            raise AirflowFailException(f"optimize monthly ended with {done.returncode}: somebody has to look")

    @task
    def watch() -> None:
        if subprocess.run([OPTIMIZE, "status", JOB], check=False).returncode:
            raise AirflowFailException("the last good plan is too old")

    plan() >> watch()


optimize_monthly()
