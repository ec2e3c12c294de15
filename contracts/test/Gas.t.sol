// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {ISumVerifier} from "../src/interfaces/ISumVerifier.sol";
import {Fixture} from "./base/Fixture.sol";
import {Payouts} from "./base/Payouts.sol";
import {Rounds} from "./base/Rounds.sol";
import {vm} from "./base/Test.sol";
import {Digests, Words} from "./base/Trees.sol";

/// @notice What each operation costs as a transaction of its own: intrinsic gas, calldata with its floor (EIP-7623), no
/// slot warm from another call. Every timestamp is fixed: a second block in one second would save 2,800 gas.
/// forge-config: default.isolate = true
/// forge-config: default.evm_version = "prague"
contract GasTest is Fixture {
    uint256 private constant MOST_COMMIT = 125_000;
    uint256 private constant MOST_CLAIM_FIRST = 110_000;
    uint256 private constant MOST_CLAIM_LATER = 75_000;
    uint256 private constant MOST_CHALLENGE = 330_000;
    uint256 private constant PRIME = 1_152_921_504_606_830_593;

    /// @dev A gas figure, printed under -vvv and in the report of a failure.
    event Measured(string what, uint256 gas);

    function newVerifier() internal override returns (ISumVerifier) {
        return ISumVerifier(vm.deployCode("SumVerifier.sol:SumVerifier"));
    }

    function measured(string memory what, uint256 most) private {
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        emit Measured(what, gas);
        vm.assertLe(gas, most, what);
    }

    function test_a_commit_costs_the_same_for_any_number_of_slots() public {
        uint32[4] memory slots = [uint32(10), 100, 1_000, 10_000];
        uint256[4] memory later_;
        for (uint64 round = 1; round <= 5; round++) {
            vm.warp(BEGIN + round * 1 hours);
            ISettlement.Commit memory made = nextCommit(round, 4 * round, keccak256(abi.encode("root", round)));
            if (round > 1) made.slots = slots[round - 2] | 0x01010101;
            vm.prank(coordinator);
            settlement.commit(made);
            measured(round == 1 ? "first commit" : "commit", MOST_COMMIT);
            if (round > 1) later_[round - 2] = vm.lastCallGas().gasTotalUsed;
        }
        // The rest is how many bytes of hashes and numbers happen to be zero.
        for (uint256 i = 1; i < 4; i++) vm.assertLe(later_[i], later_[0] + 1_500, "flat");
    }

    /// @notice Among 1,000 participants a path has ten siblings. Ten rounds at once are one claim.
    function test_a_claim_among_a_thousand() public {
        bytes32[] memory siblings = new bytes32[](10);
        uint256[3] memory cumulative = [uint256(200_000), 300_000, 400_000];
        for (uint64 round = 1; round <= 3; round++) {
            vm.warp(BEGIN + round * 1 hours);
            Due memory due = Due(payees[0], cumulative[round - 1], keccak256(abi.encode(round)), keccak256("entry"));
            bytes32 root = leafOf(due);
            for (uint256 i = 0; i < 10; i++) {
                siblings[i] = keccak256(abi.encode("sibling", round, i));
                root = Payouts.pair(root, siblings[i]);
            }
            commit(nextCommit(round, uint128(cumulative[round - 1]), root));
            vm.warp(BEGIN + round * 1 hours + WINDOW);
            settlement.claim(programme, round, due.payee, due.cumulative, due.salt, due.entry, siblings);
            measured(round == 1 ? "first claim" : "claim", round == 1 ? MOST_CLAIM_FIRST : MOST_CLAIM_LATER);
        }
    }

    /// @notice 256 words a leaf, 10,000 slots (14 levels), 2^16 leaves in 256 chunks (16 levels).
    function test_a_challenge_of_one_word() public {
        ISumVerifier.BadSum memory proof;
        uint256[] memory left = Words.draw("left", 256, PRIME);
        uint256[] memory right = Words.draw("right", 256, PRIME);
        uint256[] memory sum = Words.sum(left, right, PRIME);
        sum[17] = (sum[17] + 1) % PRIME;
        (proof.level, proof.left, proof.right) = (1, Words.pack(left), Words.pack(right));
        proof.steps = Rounds.one(Digests.leaf(0, 0, 0, Words.pack(sum)));
        proof.arithmetic = arithmetic();
        (bytes32 root, bytes32[] memory steps) = climbed(proof);
        proof.steps = Rounds.both(proof.steps, steps);
        openAnother();
        ISettlement.Commit memory made = nextCommit(1, 4, keccak256("root"));
        (made.slots, made.sumTrees) = (10_000, root);
        commit(made);
        bytes memory body = abi.encode(proof);
        settlement.seal(sealFor(made, challenger, body));
        measured("seal", 60_000);
        vm.roll(block.number + 1);

        vm.prank(challenger);
        settlement.challenge(made, ISumVerifier.Kind.BadSum, body);

        measured("challenge", MOST_CHALLENGE);
        vm.assertEq(settlement.stateOf(programme).voidFrom, 1, "proved");
    }

    function arithmetic() private pure returns (bytes memory) {
        return Rounds.arithmeticOf("ckks/1", Rounds.Shape(0, 256, 256, 256, PRIME));
    }

    function climbed(ISumVerifier.BadSum memory proof) private pure returns (bytes32 node, bytes32[] memory steps) {
        bytes32 left = Digests.leaf(0, 0, 0, proof.left);
        node = Digests.sumNode(left, Digests.leaf(0, 0, 0, proof.right), proof.steps[0]);
        for (uint256 i = 0; i < 13; i++) {
            (bytes32 sibling, bytes32 own) = (keccak256(abi.encode("s", i)), keccak256(abi.encode("o", i)));
            steps = Rounds.both(steps, Rounds.pair(sibling, own));
            node = Digests.sumNode(node, sibling, own);
        }
        for (uint256 i = 0; i < 16; i++) {
            bytes32 sibling = keccak256(abi.encode("p", i));
            steps = Rounds.both(steps, Rounds.one(sibling));
            node = sha256(abi.encodePacked(uint8(1), node, sibling));
        }
    }

    function openAnother() private {
        ISettlement.Terms memory made = defaultTerms();
        (made.arithmetic, made.leavesPerChunk, made.lastChunkLeaves) = (sha256(arithmetic()), 256, 256);
        programme = settlement.open(made);
        give(funder, ESCROW);
        give(coordinator, BOND);
        fund(ESCROW);
        bond(coordinator, BOND);
    }

    function test_what_ships_fits_the_chain() public view {
        vm.assertLe(address(settlement).code.length, 24_576, "settlement");
        vm.assertLe(address(vault).code.length, 24_576, "vault");
        vm.assertLe(settlement.verifier().code.length, 24_576, "verifier");
    }
}
