"""The solver against trying every assignment, and against formulas whose answer is known."""

import itertools
from random import Random

import pytest

from cowork.domain.policy_circuit import Circuit, Fact
from cowork.domain.policy_solver import FALSE, TRUE, Solver


def can_hold(clauses: list[list[int]], assumptions: list[int], variables: int) -> bool:
    """Try every assignment of variables 1 to `variables`."""
    for bits in itertools.product((0, 1), repeat=variables):
        true = {2 * number + 1 - bit for number, bit in enumerate(bits, 1)}
        if all(true & set(clause) for clause in clauses) and true >= set(assumptions):
            return True
    return False


@pytest.mark.parametrize("seed", range(8))
def test_the_solver_agrees_with_trying_everything(seed: int) -> None:
    random = Random(seed)
    answers = set()
    for _ in range(150):
        solver, count = Solver(), random.randint(1, 8)
        variables = [solver.new_literal() for _ in range(count)]
        clauses: list[list[int]] = []
        for _ in range(4):
            for _ in range(random.randint(0, 9)):
                clause = [random.choice(variables) ^ random.randint(0, 1) for _ in range(random.randint(1, 4))]
                clauses.append(clause)
                solver.add(clause)
            assumptions = list({random.choice(variables) ^ random.randint(0, 1) for _ in range(random.randint(0, 3))})
            answer = solver.solve(assumptions, [one >> 1 for one in variables])
            assert answer == can_hold(clauses, assumptions, count)
            answers.add(answer)
            if answer:
                assert all(any(solver.model[one] == 1 for one in clause) for clause in clauses)
                assert all(solver.model[one] == 1 for one in assumptions)
    assert answers == {True, False}


@pytest.mark.parametrize("holes", [3, 4, 5])
def test_more_pigeons_than_holes_do_not_fit(holes: int) -> None:
    solver = Solver()
    seats = [[solver.new_literal() for _ in range(holes)] for _ in range(holes + 1)]
    for pigeon in seats:
        solver.add(pigeon)
    for hole in range(holes):
        for one, other in itertools.combinations(seats, 2):
            solver.add((one[hole] ^ 1, other[hole] ^ 1))
    everyone = [seat >> 1 for pigeon in seats for seat in pigeon]
    assert not solver.solve([], everyone)
    assert solver.conflicts > 0


def test_an_assumption_binds_one_question_only() -> None:
    solver = Solver()
    one, other = solver.new_literal(), solver.new_literal()
    solver.add((one, other))
    variables = (one >> 1, other >> 1)
    assert not solver.solve([one ^ 1, other ^ 1], variables)
    assert solver.solve([one ^ 1], variables)
    assert solver.model[other] == 1


def test_the_same_formula_is_built_once_and_constants_vanish() -> None:
    circuit = Circuit()
    one, other = (circuit.atom(Fact(name))[0] for name in "ab")
    assert circuit.all_of((one, other)) == circuit.all_of((other, one, TRUE))
    assert circuit.all_of((one, one ^ 1)) == FALSE
    assert circuit.any_of((one, TRUE)) == TRUE
    assert circuit.any_of((one, FALSE)) == one


@pytest.mark.parametrize("seed", range(4))
def test_reasons_are_enough_for_the_goals(seed: int) -> None:
    random = Random(seed)
    for _ in range(60):
        circuit = Circuit()
        atoms = [circuit.atom(Fact("fact", number))[0] for number in range(6)]
        literals = list(atoms)
        for _ in range(12):
            parts = [random.choice(literals) ^ random.randint(0, 1) for _ in range(random.randint(2, 4))]
            literals.append(circuit.all_of(parts) ^ random.randint(0, 1))
        goals = [random.choice(literals) for _ in range(2)]
        variables = circuit.variables_of(goals)
        if FALSE in goals or not circuit.solver.solve(goals, variables):
            continue
        facts = [circuit.atom(fact)[0] ^ (not holds) for fact, holds in circuit.reasons(goals).items()]
        for goal in goals:
            assert not circuit.solver.solve([*facts, goal ^ 1], variables | {one >> 1 for one in facts})
